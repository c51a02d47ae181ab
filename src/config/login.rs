//! Who the camera is told we are.
//!
//! User name and password are looked for in this order, each on its own: `CAMERA_n_USERNAME` and `CAMERA_n_PASSWORD`,
//! the address, `CAMERA_USERNAME` and `CAMERA_PASSWORD`.

use super::Secret;
use super::address::Address;
use super::problem::Wrong;
use super::reader::{ReadResult, Reported, VariableReader};
use super::values::short;

/// Longest user name or password, characters.
const CHARS_MAX: usize = 256;

/// A user name and its password, which may be empty.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret<String>,
}

/// User name and password, of one camera or of all that have none of their own.
pub(super) struct CameraLogin {
    username: ReadResult<Option<String>>,
    password: ReadResult<Option<Secret<String>>>,
}

impl CameraLogin {
    /// Reads `USERNAME` and `PASSWORD` behind `prefix`.
    pub(super) fn read(reader: &mut VariableReader<'_>, prefix: &str) -> Self {
        Self {
            username: reader.optional(&format!("{prefix}USERNAME"), short(CHARS_MAX)),
            password: reader
                .optional(&format!("{prefix}PASSWORD"), |text| short(CHARS_MAX)(text).map(Secret::new)),
        }
    }

    /// Whether one of them is there.
    pub(super) fn is_set(&self) -> bool {
        matches!(self.username, Ok(Some(_))) || matches!(self.password, Ok(Some(_)))
    }

    /// What camera `number` is told, from its own variables, its address and the common variables.
    pub(super) fn credentials(
        self,
        reader: &mut VariableReader<'_>,
        number: u8,
        address: &Address,
        common: &Self,
    ) -> ReadResult<Option<Credentials>> {
        let username = self.username?.or_else(|| address.username.clone()).or(common.username.clone()?);
        let password = self.password?.or_else(|| address.password.clone()).or(common.password.clone()?);
        match (username, password) {
            (None, None) => Ok(None),
            // Some cameras are delivered with a user and no password.
            (Some(username), password) => {
                let password = password.unwrap_or_else(|| Secret::new(String::new()));
                Ok(Some(Credentials { username, password }))
            }
            (None, Some(_)) => Err(report_missing_user(reader, number)),
        }
    }
}

/// A password alone: reported once for the common one, whichever cameras it would serve.
fn report_missing_user(reader: &mut VariableReader<'_>, number: u8) -> Reported {
    let own = format!("CAMERA_{number}_PASSWORD");
    let name = [own.as_str(), "CAMERA_PASSWORD"].into_iter().find(|name| reader.env().get(name).is_some());
    // The password may also stand in the address, as in rtsp://:password@camera/.
    let addresses = ["SNAPSHOT_URL", "RTSP"].map(|suffix| format!("CAMERA_{number}_{suffix}"));
    let address = addresses.iter().find(|name| reader.env().get(name).is_some());
    let name = name.or(address.map(String::as_str)).unwrap_or(&own);
    if reader.problems.iter().any(|problem| problem.to_string().starts_with(&format!("{name}: "))) {
        return Reported;
    }
    let wrong =
        Wrong::new("there is a password and no user name", "a user name in CAMERA_USERNAME beside it");
    reader.refuse(name, &wrong)
}
