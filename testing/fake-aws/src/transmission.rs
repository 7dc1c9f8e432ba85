//! How the bytes of an answer reach the client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::Response;
use hyper::body::{Body, Bytes, Frame};
use hyper::header::CONTENT_LENGTH;
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::sleep;

use crate::answer::Answer;

pub(crate) type AnswerBody = Either<Full<Bytes>, Pieces>;

/// A body whose pieces come from a task.
pub(crate) struct Pieces(Receiver<io::Result<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Time in which the first half of an answer leaves before the connection is reset.
const TRANSFER: Duration = Duration::from_millis(20);

/// Sends the answer at once.
pub(crate) fn whole(answer: Answer) -> Response<AnswerBody> {
    answer.map(Either::Left)
}

/// Bytes of a slow answer that come at a time.
const PIECE: usize = 64;

/// Sends the answer piece by piece, with a pause before each.
pub(crate) fn slow(answer: Answer, pause: Duration) -> Response<AnswerBody> {
    let (sender, pieces) = mpsc::channel(1);
    let (answer, mut bytes) = split(answer, Pieces(pieces));
    tokio::spawn(async move {
        while !bytes.is_empty() {
            sleep(pause).await;
            let piece = bytes.split_to(PIECE.min(bytes.len()));
            if sender.send(Ok(piece)).await.is_err() {
                // The client is gone.
                return;
            }
        }
    });
    answer
}

/// Sends the first half of the answer and then resets the connection.
pub(crate) fn cut(answer: Answer) -> Response<AnswerBody> {
    let (sender, pieces) = mpsc::channel(1);
    let (answer, bytes) = split(answer, Pieces(pieces));
    tokio::spawn(async move {
        if sender.send(Ok(bytes.slice(..bytes.len() / 2))).await.is_ok() {
            sleep(TRANSFER).await;
            // The client may be gone.
            let _ = sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
        }
    });
    answer
}

/// Replaces the body of an answer, which announces its whole length all the same.
fn split(answer: Answer, body: Pieces) -> (Response<AnswerBody>, Bytes) {
    let (head, whole) = answer.into_parts();
    let bytes = whole.into_inner().unwrap_or_default();
    let mut answer = Response::from_parts(head, Either::Right(body));
    answer.headers_mut().insert(CONTENT_LENGTH, bytes.len().into());
    (answer, bytes)
}
