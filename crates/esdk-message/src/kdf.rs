//! HKDF-SHA512.

/// Bytes derived for each label, less than a block of output.
const OUTPUT_LEN: usize = 32;

/// A label, and the bytes to derive for it.
pub(crate) type Output<'a> = (&'a [u8], &'a mut [u8; OUTPUT_LEN]);

#[cfg(feature = "fips")]
pub(crate) use library::derive;
#[cfg(not(feature = "fips"))]
pub(crate) use once::derive;

/// The library's HKDF, which its FIPS service indicator approves. It repeats the extraction for
/// each output.
#[cfg(any(test, feature = "fips"))]
mod library {
    use aws_lc_rs::error::Unspecified;
    use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Salt};

    use super::{OUTPUT_LEN, Output};

    pub(crate) fn derive<const N: usize>(
        secret: &[u8],
        salt: &[u8],
        outputs: [Output<'_>; N],
    ) -> Result<(), Unspecified> {
        let pseudorandom_key = Salt::new(HKDF_SHA512, salt).extract(secret);
        for (label, output) in outputs {
            pseudorandom_key.expand(&[label], OutputLength)?.fill(output)?;
        }
        Ok(())
    }

    struct OutputLength;

    impl KeyType for OutputLength {
        fn len(&self) -> usize {
            OUTPUT_LEN
        }
    }
}

/// HKDF with one extraction for all outputs: two thirds of the instructions.
///
/// Source: RFC 5869.
#[cfg(any(test, not(feature = "fips")))]
mod once {
    use aws_lc_rs::error::Unspecified;
    use aws_lc_rs::hmac::{HMAC_SHA512, Key, sign_to_buffer};
    use zeroize::Zeroizing;

    use super::{OUTPUT_LEN, Output};

    /// Longest label in bytes.
    const MAX_LABEL_LEN: usize = 15;
    /// Follows a label: the number of the one block of output.
    const BLOCK_NUMBER: u8 = 1;

    pub(crate) fn derive<const N: usize>(
        secret: &[u8],
        salt: &[u8],
        outputs: [Output<'_>; N],
    ) -> Result<(), Unspecified> {
        let mut block = Zeroizing::new([0; 64]);
        sign_to_buffer(&Key::new(HMAC_SHA512, salt), secret, block.as_mut_slice())?;
        let pseudorandom_key = Key::new(HMAC_SHA512, block.as_slice());
        for (label, output) in outputs {
            let mut info = [BLOCK_NUMBER; MAX_LABEL_LEN + 1];
            info[..label.len()].copy_from_slice(label);
            sign_to_buffer(&pseudorandom_key, &info[..=label.len()], block.as_mut_slice())?;
            output.copy_from_slice(&block[..OUTPUT_LEN]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use aws_lc_rs::error::Unspecified;

    use super::*;

    type Derive = fn(&[u8], &[u8], [Output<'_>; 2]) -> Result<(), Unspecified>;

    proptest! {
        #[test]
        fn one_extraction_derives_the_keys_of_the_library(
            secret: [u8; 32],
            salt: [u8; 32],
            suite_id: [u8; 2],
        ) {
            let label = [&suite_id, b"DERIVEKEY".as_slice()].concat();
            let derive = |derive: Derive| {
                let (mut commitment, mut key) = ([0; OUTPUT_LEN], [0; OUTPUT_LEN]);
                let outputs: [Output<'_>; 2] = [(b"COMMITKEY", &mut commitment), (&label, &mut key)];
                derive(&secret, &salt, outputs).expect("HKDF works");
                (commitment, key)
            };
            prop_assert_eq!(derive(once::derive), derive(library::derive));
        }
    }
}
