//! Cached materials for the SDK, as a perfect cache would return them.

use aws_esdk::material_providers::operation::decrypt_materials::{
    DecryptMaterialsInput, DecryptMaterialsOutput,
};
use aws_esdk::material_providers::operation::get_encryption_materials::{
    GetEncryptionMaterialsInput, GetEncryptionMaterialsOutput,
};
use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManager;
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::{DecryptionMaterials, EncryptionMaterials};

/// Hands out the same materials every time.
pub(crate) struct Fixed {
    pub(crate) encryption: EncryptionMaterials,
    pub(crate) decryption: DecryptionMaterials,
}

impl CryptographicMaterialsManager for Fixed {
    fn get_encryption_materials(
        &self,
        _: GetEncryptionMaterialsInput,
    ) -> Result<GetEncryptionMaterialsOutput, Error> {
        GetEncryptionMaterialsOutput::builder()
            .encryption_materials(self.encryption.clone())
            .build()
            .map_err(Error::wrap_validation_err)
    }

    fn decrypt_materials(&self, _: DecryptMaterialsInput) -> Result<DecryptMaterialsOutput, Error> {
        DecryptMaterialsOutput::builder()
            .decryption_materials(self.decryption.clone())
            .build()
            .map_err(Error::wrap_validation_err)
    }
}
