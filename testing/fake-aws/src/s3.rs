//! S3: objects by bucket and key. Every bucket exists.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::answer::{Answer, ServiceError, with_status};
use crate::call::header;
use crate::lock;
use crate::operation::Operation;

/// What would change the meaning of a request, and is not played.
const REFUSED_HEADERS: [&str; 3] = ["if-none-match", "range", "x-amz-copy-source"];
const KNOWN_PARAMETERS: [&str; 3] = ["list-type", "prefix", "x-id"];

/// The objects of all Regions.
#[derive(Default)]
pub struct S3(Mutex<BTreeMap<(String, String), Bucket>>);

type Bucket = BTreeMap<String, Bytes>;

impl S3 {
    /// The objects of a bucket by key; none of an unknown bucket.
    #[must_use]
    pub fn objects(&self, region: &str, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let buckets = lock(&self.0);
        let objects = buckets.get(&(region.to_owned(), bucket.to_owned())).into_iter().flatten();
        objects.map(|(key, body)| (key.clone(), body.to_vec())).collect()
    }

    /// Puts an object into a bucket.
    pub fn put(&self, region: &str, bucket: &str, key: &str, body: &[u8]) {
        let mut buckets = lock(&self.0);
        let bucket = buckets.entry((region.to_owned(), bucket.to_owned())).or_default();
        bucket.insert(key.to_owned(), Bytes::copy_from_slice(body));
    }

    pub(crate) fn answer(
        &self,
        region: &str,
        operation: Operation,
        head: &Parts,
        body: &Bytes,
    ) -> Result<Answer, ServiceError> {
        let request = ObjectRequest::of(head)?;
        let mut buckets = lock(&self.0);
        let bucket = buckets.entry((region.to_owned(), request.bucket)).or_default();
        match operation {
            Operation::PutObject => {
                bucket.insert(request.key, content(head, body)?);
                Ok(with_status(200, ""))
            }
            Operation::DeleteObject => {
                let found = bucket.get(&request.key).map(etag);
                if header(head, "if-match").is_some_and(|wanted| found.as_deref() != Some(wanted)) {
                    let message = "The object has changed.";
                    return Err(ServiceError::new(412, "PreconditionFailed", message));
                }
                bucket.remove(&request.key);
                Ok(with_status(204, ""))
            }
            Operation::GetObject => {
                let object = bucket.get(&request.key).cloned();
                let object = object.ok_or_else(|| {
                    ServiceError::new(404, "NoSuchKey", "The specified key does not exist.")
                })?;
                let etag = HeaderValue::from_str(&etag(&object)).expect("a number in quotes");
                let mut answer = with_status(200, object);
                answer.headers_mut().insert("etag", etag);
                Ok(answer)
            }
            _ => Ok(with_status(200, list(bucket, &request.prefix))),
        }
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").finish_non_exhaustive()
    }
}

struct ObjectRequest {
    bucket: String,
    key: String,
    prefix: String,
}

impl ObjectRequest {
    fn of(head: &Parts) -> Result<Self, ServiceError> {
        let path = head.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let mut prefix = String::new();
        for parameter in head.uri.query().unwrap_or_default().split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !name.is_empty() && !KNOWN_PARAMETERS.contains(&name) {
                return Err(not_implemented());
            }
            if name == "prefix" {
                prefix = decoded(value)?;
            }
        }
        if REFUSED_HEADERS.iter().any(|name| head.headers.contains_key(*name)) {
            return Err(not_implemented());
        }
        Ok(Self { bucket: decoded(bucket)?, key: decoded(key)?, prefix })
    }
}

fn decoded(text: &str) -> Result<String, ServiceError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(String::from).map_err(|_| invalid("a name is not UTF-8"))
}

/// All keys at once: a list here has no second page.
fn list(bucket: &Bucket, prefix: &str) -> String {
    let mut contents = String::new();
    let objects = bucket.iter().filter(|(key, _)| key.starts_with(prefix));
    let count = objects.clone().count();
    for (key, body) in objects {
        let (key, size) = (escaped(key), body.len());
        write!(contents, "<Contents><Key>{key}</Key><Size>{size}</Size></Contents>")
            .expect("a String takes all text");
    }
    format!(
        "<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>{count}</KeyCount>\
         {contents}</ListBucketResult>"
    )
}

/// Differs between objects of different content.
fn etag(body: &Bytes) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The object in a request's body, which the SDKs send in chunks with a checksum at the end:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>
fn content(head: &Parts, body: &Bytes) -> Result<Bytes, ServiceError> {
    let chunked =
        header(head, "x-amz-content-sha256").is_some_and(|hash| hash.starts_with("STREAMING-"));
    if !chunked {
        return Ok(body.clone());
    }
    unchunked(body).map(Bytes::from).ok_or_else(|| invalid("the chunks are not valid"))
}

/// The chunks' data: each is `SIZE[;SIGNATURE]\r\nDATA\r\n` with a hexadecimal size, and an empty
/// one is the last.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::with_capacity(body.len());
    loop {
        let line_end = body.windows(2).position(|pair| pair == b"\r\n")?;
        let size = str::from_utf8(&body[..line_end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(content);
        }
        let (data, rest) = body[line_end + 2..].split_at_checked(size)?;
        content.extend_from_slice(data);
        body = rest.strip_prefix(b"\r\n")?;
    }
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::new(400, "InvalidRequest", message)
}

fn not_implemented() -> ServiceError {
    ServiceError::new(501, "NotImplemented", "fake-aws does not play this")
}
