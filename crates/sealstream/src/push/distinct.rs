//! Whether files are different ones, whatever their names.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use anyhow::bail;

/// Files with their roles.
#[derive(Default)]
pub(crate) struct DistinctFiles(Vec<(String, (u64, u64), bool)>);

impl DistinctFiles {
    /// Adds a file that is read. The same file may be read twice.
    pub(crate) fn add_input(&mut self, name: &str, metadata: &Metadata) -> anyhow::Result<()> {
        self.add(format!("the input {name}"), metadata, true)
    }

    /// Adds a file that is written, which must not have another role. `flag` is its flag.
    pub(crate) fn add_output(&mut self, flag: &str, metadata: &Metadata) -> anyhow::Result<()> {
        self.add(flag.to_owned(), metadata, false)
    }

    /// Devices such as /dev/null may have several roles.
    fn add(&mut self, role: String, metadata: &Metadata, is_input: bool) -> anyhow::Result<()> {
        if !metadata.is_file() {
            return Ok(());
        }
        let id = (metadata.dev(), metadata.ino());
        let conflict =
            |other: &&(String, (u64, u64), bool)| other.1 == id && !(is_input && other.2);
        if let Some((other, ..)) = self.0.iter().find(conflict) {
            bail!("{other} and {role} are the same file; give different ones");
        }
        self.0.push((role, id, is_input));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_file_has_one_role_by_whatever_name() {
        let folder = std::env::temp_dir().join(format!("distinct-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (file, link) = (folder.join("file"), folder.join("link"));
        File::create(&file).unwrap();
        let _ = fs::hard_link(&file, &link);
        let [file, link] = [file, link].map(|path| fs::metadata(path).unwrap());
        let null = fs::metadata("/dev/null").unwrap();

        let mut files = DistinctFiles::default();
        files.add_input("file", &file).unwrap();
        files.add_input("file", &link).unwrap();
        files.add_output("--spool", &null).unwrap();
        files.add_output("--metrics", &null).unwrap();
        let error = files.add_output("--spool", &link).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the input file and --spool are the same file; give different ones"
        );
        fs::remove_dir_all(folder).unwrap();
    }
}
