//! What follows from a command: the side of the server that needs no socket. Pure.
//!
//! Folders, removal and renames are fiction that succeeds, because a camera that fails at one of them gives up before it
//! sends its picture; some never come back after a reply of 400 or more.
//!
//! TLS is as RFC 4217 has it: `AUTH TLS` first, then `PROT P` for data. What was said before `AUTH TLS` counts no more.

use std::collections::VecDeque;
use std::sync::Arc;

use super::command::{ControlBuffer, ControlLine, FtpCommand};
use super::name;
use super::reply::FtpReply;
use crate::config::{DeviceConfig, Secret};

/// Names of a session that are remembered for SIZE and renames.
const NAMES_MAX: usize = 32;

/// Longest name that is remembered, characters; file systems have none that are longer.
const NAME_CHARS_MAX: usize = 255;

/// A file that a client wants to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upload {
    /// Its path, as the client says it.
    pub(super) path: String,
    /// Whether the client is to be told a name.
    pub(super) is_unique: bool,
}

/// How it stands with TLS on the control connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ControlTls {
    /// There is no certificate.
    #[default]
    Absent,
    /// It may be asked for; whether nobody logs in without it.
    Offered { is_required: bool },
    /// It is there.
    On,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum FtpStep {
    /// Only to answer.
    Say(FtpReply),
    /// To answer, and to hang up.
    End(FtpReply),
    /// To find out who it is.
    Admit { user: String, password: Secret<String> },
    /// To await a data connection; whether EPSV asked for it.
    Await { is_extended: bool },
    /// To take a file.
    Take(Upload),
    /// To show that there is nothing.
    List,
    /// To give the data connection up.
    Abort,
    /// To answer, and to secure the control connection.
    Secure(FtpReply),
    /// To begin anew.
    Reinitialize,
}

/// One client, as far as it has come.
#[derive(Debug)]
pub(super) struct Dialog {
    user: Option<String>,
    device: Option<Arc<DeviceConfig>>,
    folder: String,
    /// What was taken, and how many bytes it had; the newest last.
    names: VecDeque<(String, u64)>,
    /// What the next RNTO names anew.
    renamed: Option<usize>,
    /// Files without a name.
    unique: u32,
    tls: ControlTls,
    /// Data connections are secured, too.
    is_data_secured: bool,
}

impl Default for Dialog {
    fn default() -> Self {
        Self::new(ControlTls::Absent)
    }
}

impl Dialog {
    /// Somebody who has said nothing.
    pub(super) fn new(tls: ControlTls) -> Self {
        Self {
            tls,
            is_data_secured: false,
            user: None,
            device: None,
            folder: "/".to_owned(),
            names: VecDeque::new(),
            renamed: None,
            unique: 0,
        }
    }

    /// The same connection, as if nothing had been said: it stays secured.
    fn anew(&self) -> Self {
        let Self { tls, is_data_secured, unique, .. } = *self;
        Self { is_data_secured, unique, ..Self::new(tls) }
    }

    /// The control connection is secured now, and nothing that was said before counts.
    pub(super) fn secured(&mut self) {
        let is_data_secured = self.is_data_secured;
        *self = Self { is_data_secured, ..Self::new(ControlTls::On) };
    }

    /// Whether the next data connection is to be secured.
    pub(super) fn is_data_secured(&self) -> bool {
        self.is_data_secured && self.tls == ControlTls::On
    }

    /// Who was let in.
    pub(super) fn device(&self) -> Option<&Arc<DeviceConfig>> {
        self.device.as_ref()
    }

    /// Somebody was let in.
    pub(super) fn admit(&mut self, device: Arc<DeviceConfig>) -> FtpReply {
        self.device = Some(device);
        say(230, "logged in")
    }

    /// A file was taken under this path.
    pub(super) fn took(&mut self, path: &str, bytes: u64) {
        let name = last(path);
        self.names.retain(|(known, _)| *known != name);
        if self.names.len() == NAMES_MAX {
            self.names.pop_front();
        }
        self.names.push_back((name, bytes));
        self.renamed = None;
    }

    /// What follows from a command.
    pub(super) fn hear(&mut self, command: FtpCommand) -> FtpStep {
        // RNTO follows RNFR at once, or not at all (RFC 959, 4.1.3).
        let renamed = self.renamed.take();
        if let Some(step) = self.without_log_in(&command) {
            return step;
        }
        if self.device.is_none() {
            return FtpStep::Say(say(530, "log in first"));
        }
        FtpStep::Say(match command {
            FtpCommand::Passive => return FtpStep::Await { is_extended: false },
            FtpCommand::ExtendedPassive(argument) => match argument.as_str() {
                // What follows would have to be EPSV, and both are taken.
                "ALL" => say(200, "ok"),
                "" | "1" | "2" => return FtpStep::Await { is_extended: true },
                _ => say(522, "no such network, use (1,2)"),
            },
            FtpCommand::Store(path) if name::last_part(&path).is_empty() => say(501, "a file needs a name"),
            FtpCommand::Store(path) => return FtpStep::Take(Upload { path, is_unique: false }),
            FtpCommand::StoreUnique(path) => {
                let is_unnamed = name::last_part(&path).is_empty();
                self.unique = self.unique.saturating_add(1);
                let path = if is_unnamed { format!("upload-{}", self.unique) } else { path };
                return FtpStep::Take(Upload { path, is_unique: true });
            }
            FtpCommand::List => return FtpStep::List,
            FtpCommand::Abort => return FtpStep::Abort,
            FtpCommand::Type(kind) => match kind.split(' ').next() {
                // Lines are not translated: a picture would not survive it.
                Some("I" | "A" | "L") => say(200, "binary"),
                _ => say(504, "only binary"),
            },
            FtpCommand::Structure(kind) if kind == "F" => say(200, "ok"),
            FtpCommand::Mode(kind) if kind == "S" => say(200, "ok"),
            FtpCommand::Structure(_) | FtpCommand::Mode(_) => say(504, "only STRU F and MODE S"),
            FtpCommand::Restart(at) if at == "0" => say(350, "from the beginning"),
            FtpCommand::Restart(_) => say(504, "only whole files are taken"),
            FtpCommand::MakeFolder(path) => FtpReply::folder(&name::folder(&self.folder, &path), "is there"),
            FtpCommand::ChangeFolder(path) => {
                self.folder = name::folder(&self.folder, &path);
                say(250, "ok")
            }
            FtpCommand::FolderUp => {
                self.folder = name::folder(&self.folder, "..");
                say(250, "ok")
            }
            FtpCommand::PrintFolder => FtpReply::folder(&self.folder, "is where you are"),
            FtpCommand::Remove => say(250, "ok; pictures stay"),
            FtpCommand::Size(path) => match self.find(&path) {
                Some(at) => say(213, &self.names[at].1.to_string()),
                None => say(550, "not taken in this session"),
            },
            FtpCommand::RenameFrom(path) => {
                self.renamed = self.find(&path);
                match self.renamed {
                    Some(_) => say(350, "to what?"),
                    None => say(550, "not taken in this session"),
                }
            }
            FtpCommand::RenameTo(path) => match renamed.and_then(|at| self.names.get_mut(at)) {
                Some((name, _)) => {
                    *name = last(&path);
                    say(250, "ok")
                }
                None => say(503, "RNFR comes first"),
            },
            FtpCommand::Active => say(502, "PORT is refused; use PASV"),
            FtpCommand::Retrieve => say(550, "there is nothing to fetch; pictures are only taken"),
            // These are answered above.
            FtpCommand::User(_)
            | FtpCommand::Password(_)
            | FtpCommand::Reinitialize
            | FtpCommand::Quit
            | FtpCommand::System
            | FtpCommand::Features
            | FtpCommand::Nothing
            | FtpCommand::Help
            | FtpCommand::Secure(_)
            | FtpCommand::BufferSize
            | FtpCommand::Protect(_)
            | FtpCommand::Unsecure
            | FtpCommand::Unknown => say(500, "not understood"),
        })
    }

    /// What anybody may say.
    fn without_log_in(&mut self, command: &FtpCommand) -> Option<FtpStep> {
        Some(FtpStep::Say(match command {
            FtpCommand::User(_) if self.tls == (ControlTls::Offered { is_required: true }) => {
                say(530, "AUTH TLS comes first")
            }
            FtpCommand::User(user) => {
                *self = Self { user: Some(user.clone()), ..self.anew() };
                // The same for everyone, whether there is such a user or not.
                say(331, "password?")
            }
            FtpCommand::Password(password) => match self.user.take() {
                Some(user) => {
                    let password = Secret::new(password.clone());
                    return Some(FtpStep::Admit { user, password });
                }
                None if self.device.is_some() => say(230, "logged in"),
                None => say(503, "USER comes first"),
            },
            FtpCommand::Reinitialize => {
                *self = self.anew();
                return Some(FtpStep::Reinitialize);
            }
            FtpCommand::Quit => return Some(FtpStep::End(say(221, "bye"))),
            FtpCommand::System => say(215, "UNIX Type: L8"),
            FtpCommand::Features => FtpReply::features(self.tls != ControlTls::Absent),
            // ALLO is answered 200, not 202: a Dahua camera hangs up at 202 and begins again, for ever.
            FtpCommand::Nothing => say(200, "ok"),
            FtpCommand::Help => say(214, "pictures are taken: USER PASS PASV STOR"),
            FtpCommand::Secure(kind) => return Some(self.secure(kind)),
            FtpCommand::BufferSize | FtpCommand::Protect(_) if self.tls != ControlTls::On => match self.tls {
                ControlTls::Absent => say(502, "FTP over TLS is not there"),
                ControlTls::Offered { .. } | ControlTls::On => say(503, "AUTH TLS comes first"),
            },
            FtpCommand::BufferSize => say(200, "PBSZ=0"),
            FtpCommand::Protect(level) => match level.as_str() {
                "P" | "C" => {
                    self.is_data_secured = level == "P";
                    say(200, "ok")
                }
                "S" | "E" => say(536, "only PROT P and PROT C"),
                _ => say(504, "only PROT P and PROT C"),
            },
            FtpCommand::Unsecure => say(533, "what is secured stays so"),
            FtpCommand::Unknown => say(502, "not known here"),
            _ => return None,
        }))
    }

    /// What follows from AUTH.
    fn secure(&mut self, kind: &str) -> FtpStep {
        FtpStep::Say(match (self.tls, kind) {
            (ControlTls::Absent, _) => say(502, "FTP over TLS is not there"),
            (ControlTls::On, _) => say(503, "it is secured already"),
            (ControlTls::Offered { .. }, "TLS" | "TLS-C" | "SSL" | "TLS-P") => {
                // Clients that say the older words mean the data, too (the draft before RFC 4217).
                self.is_data_secured = matches!(kind, "SSL" | "TLS-P");
                return FtpStep::Secure(say(234, "go on with TLS"));
            }
            (ControlTls::Offered { .. }, _) => say(504, "only AUTH TLS"),
        })
    }

    fn find(&self, path: &str) -> Option<usize> {
        let name = last(path);
        self.names.iter().position(|(known, _)| *known == name)
    }
}

fn say(code: u16, text: &str) -> FtpReply {
    FtpReply::new(code, text)
}

/// What a client is answered that says these pieces and is let in as `device`, whatever its password: the server without
/// its sockets. A file that it announces is taken.
pub fn rehearse<'a>(device: &Arc<DeviceConfig>, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let offered = ControlTls::Offered { is_required: false };
    let (mut buffer, mut dialog, mut replies) = (ControlBuffer::default(), Dialog::new(offered), Vec::new());
    for piece in pieces {
        buffer.push(piece);
        while let Some(line) = buffer.next_line() {
            let step = match line {
                ControlLine::Line(line) => dialog.hear(FtpCommand::parse(&line)),
                ControlLine::TooLong => FtpStep::Say(say(500, "the line is too long")),
            };
            let is_over = matches!(step, FtpStep::End(_));
            let reply = match step {
                FtpStep::Say(reply) | FtpStep::End(reply) => reply,
                FtpStep::Admit { .. } => dialog.admit(Arc::clone(device)),
                FtpStep::Secure(reply) => {
                    dialog.secured();
                    reply
                }
                FtpStep::Await { .. } | FtpStep::List | FtpStep::Abort | FtpStep::Reinitialize => {
                    say(200, "ok")
                }
                FtpStep::Take(upload) => {
                    dialog.took(&upload.path, 1);
                    say(226, &format!("stored as {}", name::own_name(&upload.path)))
                }
            };
            replies.push(reply.bytes());
            if is_over {
                return replies;
            }
        }
    }
    replies
}

fn last(path: &str) -> String {
    name::last_part(path).chars().take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
#[path = "tests/dialog.rs"]
mod tests;
