//! Credentials in files: a mounted Secret, and the profile file of Huawei Cloud's SDKs. Reads them, bounded, off the
//! loop's thread; whether what was read is taken is decided elsewhere.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::source::{Obtained, SourceError};
use super::{Credentials, Identity};

/// Largest file that is read, in bytes. Security tokens have some thousands.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The link that Kubernetes swaps when a mounted Secret changes (`AtomicWriter` of the kubelet).
const DATA_LINK: &str = "..data";

/// Reads on another thread: a file may lie on a slow file system.
pub(super) async fn apart<T: Send + 'static>(
    path: PathBuf,
    read: fn(&Path) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    let read = tokio::task::spawn_blocking(move || read(&path)).await;
    read.unwrap_or_else(|error| Err(SourceError::Unavailable(format!("reading did not end: {error}"))))
}

/// `access-key`, `secret-key` and perhaps `security-token`. Where Kubernetes mounts them all are of one version.
pub(super) fn read_directory(directory: &Path) -> Result<Obtained, SourceError> {
    let version = std::fs::canonicalize(directory.join(DATA_LINK)).ok();
    let whole = version.is_some();
    let place = version.as_deref().unwrap_or(directory);
    let shown = |name: &str| directory.join(name).display().to_string();
    let part = |name: &str| {
        let text = read_file(&place.join(name), &shown(name))?;
        text.ok_or_else(|| SourceError::Absent(format!("{} is not there", shown(name))))
    };
    let access_key = part("access-key")?;
    // With one of the two there it is set up, so the other must not be passed over.
    let secret_key = part("secret-key").map_err(|error| SourceError::Unavailable(error.to_string()))?;
    let token = read_file(&place.join("security-token"), &shown("security-token"))?;
    let credentials = Credentials::new(&access_key, &secret_key, token.as_ref().map(|token| token.as_str()))
        .map_err(|why| SourceError::Unavailable(format!("{}: {why}", directory.display())))?;
    Ok(Obtained { identity: Identity::Keys(credentials), expiry: None, whole, skew: None })
}

/// The section `[basic]` with `ak`, `sk` and perhaps `security_token`.
pub(super) fn read_profile(file: &Path) -> Result<Obtained, SourceError> {
    let shown = file.display().to_string();
    let absent = || SourceError::Absent(format!("{shown} is not there"));
    let text = read_file(file, &shown)?.ok_or_else(absent)?;
    let value = |name: &str| {
        let mut section = "";
        let mut found = None;
        for line in text.lines().map(str::trim) {
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']').trim();
            } else if let Some((key, value)) = line.split_once('=')
                && section == "basic"
                && key.trim() == name
            {
                found = Some(value.trim());
            }
        }
        found
    };
    let missing = |name| SourceError::Unavailable(format!("{shown} has no {name} in its section [basic]"));
    let (access_key, secret_key) = (value("ak").ok_or(missing("ak"))?, value("sk").ok_or(missing("sk"))?);
    let credentials = Credentials::new(access_key, secret_key, value("security_token"))
        .map_err(|why| SourceError::Unavailable(format!("{shown}: {why}")))?;
    Ok(Obtained { identity: Identity::Keys(credentials), expiry: None, whole: false, skew: None })
}

/// A file that must be there, without blanks at its ends.
pub(super) fn read_text(file: &Path) -> Result<Zeroizing<String>, SourceError> {
    let shown = file.display().to_string();
    let text = read_file(file, &shown)?;
    let text = text.ok_or_else(|| SourceError::Unavailable(format!("{shown} is not there")))?;
    match text.trim() {
        "" => Err(SourceError::Unavailable(format!("{shown} is empty"))),
        trimmed => Ok(Zeroizing::new(trimmed.to_owned())),
    }
}

/// `None` where there is no such file.
fn read_file(path: &Path, shown: &str) -> Result<Option<Zeroizing<String>>, SourceError> {
    let fail = |why: &dyn std::fmt::Display| SourceError::Unavailable(format!("{shown} cannot be read: {why}"));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(fail(&error)),
    };
    let size = file.metadata().map_or(MAX_FILE_BYTES, |about| about.len());
    if size > MAX_FILE_BYTES {
        return Err(fail(&format_args!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    // Room enough from the start: growing would leave copies behind.
    let room = usize::try_from(MAX_FILE_BYTES).unwrap_or(0) + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(|error| fail(&error))?;
    Ok(Some(text))
}
