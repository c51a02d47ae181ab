//! `INGEST_n_FOLDER`, `INGEST_n_FOLDER_KEEP`: a folder into which another program puts the pictures of a device.

use std::path::{Component, Path, PathBuf};

use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::boolean;

/// What a folder has to be.
const ACCEPTED: &str =
    "a folder of its own: not the one of the pictures, none above or within it, and no other device's";

/// A folder in which pictures arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderConfig {
    /// `INGEST_n_FOLDER`. It need not be there yet.
    pub path: PathBuf,
    /// `INGEST_n_FOLDER_KEEP`: what was taken moves to `.done` in it and is not removed.
    pub keeps: bool,
}

impl FolderConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>, number: u8) -> ReadResult<Option<Self>> {
        let path = reader.optional(&format!("INGEST_{number}_FOLDER"), |text| Ok(PathBuf::from(text)));
        let keeps = reader.required(&format!("INGEST_{number}_FOLDER_KEEP"), boolean);
        let (path, keeps) = (path?, keeps?);
        Ok(path.map(|path| Self { path, keeps }))
    }
}

/// Whether no folder, by the name of its variable, is that of the pictures or of another device: what is put in order here would be taken for new.
pub(super) fn check<'a>(
    reader: &mut VariableReader<'_>,
    folders: impl Iterator<Item = (String, &'a Path)>,
    pictures: &Path,
) -> ReadResult<()> {
    let mut checked = Ok(());
    let mut others = vec![(real(pictures), "IMAGE_STORAGE_PATH".to_owned())];
    for (name, folder) in folders {
        let own = real(folder);
        let overlaps = |other: &Path| own.starts_with(other) || other.starts_with(&own);
        if let Some((_, other)) = others.iter().find(|(other, _)| overlaps(other)) {
            let wrong = Wrong::new(format!("lies in that of {other}, or around it"), ACCEPTED);
            checked = Err(reader.refuse(&name, &wrong));
        }
        others.push((own, name));
    }
    checked
}

/// Where a path leads, as far as it is there yet.
fn real(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in whole.ancestors() {
        if let (Ok(real), Ok(rest)) = (above.canonicalize(), whole.strip_prefix(above)) {
            return rest.components().fold(real, |real, part| match part {
                Component::ParentDir => real.parent().map_or_else(PathBuf::new, Path::to_owned),
                part => real.join(part),
            });
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem};
    use super::*;

    #[test]
    fn a_folder_alone_makes_a_device() {
        let ingest = config(&[("INGEST_2_FOLDER", "/srv/gate")]).ingest;
        let folder = ingest.devices[0].folder.clone().unwrap();
        assert_eq!((folder.path.as_path(), folder.keeps), (Path::new("/srv/gate"), false));
        let keeping = config(&[("INGEST_2_FOLDER", "/srv/gate"), ("INGEST_2_FOLDER_KEEP", "true")]).ingest;
        assert!(keeping.devices[0].folder.as_ref().unwrap().keeps);
        assert!(
            problem(&[("INGEST_1_NAME", "gate")]).contains("INGEST_1_FOLDER"),
            "it is one of the ways in"
        );
    }

    #[test]
    fn a_folder_of_pictures_or_of_another_device_is_a_problem_whatever_leads_there() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name).display().to_string();
        std::fs::create_dir_all(at("images/day")).unwrap();
        std::os::unix::fs::symlink(at("images"), at("link")).unwrap();
        let images = at("images");
        for folder in ["images", "images/day", "images/new", "link", "link/new", ".", "x/../images"] {
            let said = problem(&[("IMAGE_STORAGE_PATH", &images), ("INGEST_1_FOLDER", &at(folder))]);
            let is_named = said.starts_with("INGEST_1_FOLDER: ") && said.contains("IMAGE_STORAGE_PATH");
            assert!(is_named, "{folder}: {said}");
        }
        let beside = [("IMAGE_STORAGE_PATH", images.as_str()), ("INGEST_1_FOLDER", &at("images-in"))];
        assert_eq!(config(&beside).ingest.devices.len(), 1);
        let said = problem(&[beside[0], beside[1], ("INGEST_2_FOLDER", &at("images-in/gate"))]);
        assert!(said.starts_with("INGEST_2_FOLDER: ") && said.contains("INGEST_1_FOLDER"), "{said}");
    }
}
