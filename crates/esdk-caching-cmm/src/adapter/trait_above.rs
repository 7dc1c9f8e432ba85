//! aws-esdk's CMM trait, which is synchronous, on a caching CMM.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use aws_esdk::material_providers::operation::decrypt_materials::{
    DecryptMaterialsInput, DecryptMaterialsOutput,
};
use aws_esdk::material_providers::operation::get_encryption_materials::{
    GetEncryptionMaterialsInput, GetEncryptionMaterialsOutput,
};
use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManager;
use aws_esdk::material_providers::types::error::Error as AwsError;
use aws_esdk::material_providers::types::{DecryptionMaterials, EncryptionMaterials};
use tokio::sync::oneshot;

use super::{AwsEsdkManager, Zeroizing, convert};
use crate::clock::Timestamp;
use crate::cmm::{CachingCmm, Share, downcast};
use crate::error::Error;
use crate::flight::{Answer, Landing, Next, call};
use crate::manager::Materials;
use crate::request::{Input, Request};
use crate::sync;

type Outcome<T> = Result<T, Error<AwsError>>;

/// aws-esdk puts a mutex around every CMM: one request at a time gets through, hits too. Materials
/// are copied. On a miss, aws-esdk is called on the caller's thread.
impl CryptographicMaterialsManager for CachingCmm<AwsEsdkManager> {
    fn get_encryption_materials(
        &self,
        input: GetEncryptionMaterialsInput,
    ) -> Result<GetEncryptionMaterialsOutput, AwsError> {
        let request = convert::encryption_request(input)?;
        let materials: Arc<Zeroizing<EncryptionMaterials>> =
            Request::encryption(self.caching(), request)
                .and_then(|request| downcast(self.materials_here(&request)?))
                .map_err(convert::encryption_error)?;
        GetEncryptionMaterialsOutput::builder()
            .encryption_materials(EncryptionMaterials::clone(&materials))
            .build()
            .map_err(AwsError::wrap_validation_err)
    }

    fn decrypt_materials(
        &self,
        input: DecryptMaterialsInput,
    ) -> Result<DecryptMaterialsOutput, AwsError> {
        let request = convert::decryption_request(input)?;
        let materials: Arc<Zeroizing<DecryptionMaterials>> =
            Request::decryption(self.caching(), request)
                .and_then(|request| downcast(self.materials_here(&request)?))
                .map_err(convert::decryption_error)?;
        DecryptMaterialsOutput::builder()
            .decryption_materials(DecryptionMaterials::clone(&materials))
            .build()
            .map_err(AwsError::wrap_validation_err)
    }
}

/// The way of [`CachingCmm::encryption_materials`] on the caller's thread, which may be the only one
/// of its runtime: it waits for nothing that only another task of that runtime can move on.
impl CachingCmm<AwsEsdkManager> {
    fn materials_here(&self, request: &Request) -> Outcome<Arc<dyn Materials>> {
        self.count_request();
        let Some(id) = request.id else { return self.bypass_here(request) };
        loop {
            let mut led = None;
            let next = self.next(id, request, |landing| {
                let (sender, receiver) = oneshot::channel();
                led = Some(Led { landing, sender });
                call(async { receiver.await.unwrap_or(Err(Error::Unfinished)) })
            });
            let (landed, policy) = match next {
                Next::Hit(hit) => return Ok(self.use_hit(hit, request)),
                Next::Bypass => return self.bypass_here(request),
                Next::Lead(_waiting) => {
                    return self.lead_here(led.expect("the call was begun"), request);
                }
                Next::Join(..) if sync::stalls_runtime() => return self.bypass_here(request),
                Next::Join(call, policy) => (sync::block_on(call), policy),
            };
            match self.share(landed, policy, request)? {
                Share::Materials(materials) => return Ok(materials),
                Share::Bypass => return self.bypass_here(request),
                Share::UsedUp => {}
            }
        }
    }

    fn lead_here(&self, led: Led, request: &Request) -> Outcome<Arc<dyn Materials>> {
        let Led { landing, sender } = led;
        let answer = self
            .ask_here(request)
            .map(|(materials, asked_at)| self.land(&landing, materials, asked_at, request));
        drop(landing);
        // Nobody may be waiting.
        let _ = sender.send(answer.clone());
        Ok(answer?.materials)
    }

    fn bypass_here(&self, request: &Request) -> Outcome<Arc<dyn Materials>> {
        Ok(self.ask_here(request)?.0)
    }

    fn ask_here(&self, request: &Request) -> Outcome<(Arc<dyn Materials>, Timestamp)> {
        let asked_at = self.count_call();
        // A panic must not poison the mutex that aws-esdk holds around this CMM.
        let asking = AssertUnwindSafe(|| ask(self.manager(), &request.input));
        let materials =
            catch_unwind(asking).map_err(|_| Error::Unfinished)?.map_err(Error::Manager)?;
        Ok((materials, asked_at))
    }
}

/// A call that this thread makes, and where its answer goes.
struct Led {
    landing: Landing<AwsError>,
    sender: oneshot::Sender<Outcome<Answer>>,
}

fn ask(manager: &AwsEsdkManager, input: &Input) -> Result<Arc<dyn Materials>, AwsError> {
    Ok(match input {
        Input::Encryption(request) => Arc::new(manager.encryption_materials_here(request)?),
        Input::Decryption(request) => Arc::new(manager.decryption_materials_here(request)?),
    })
}
