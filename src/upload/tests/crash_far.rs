//! Where pictures arrive: the demonstration's receiver, or a real S3 store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::demo::receiver::Received;
use crate::demo::{Receiver, ReceiverFault, ReceiverHandle};
use crate::model::hex;

/// Longest start of a store.
const LIMIT: Duration = Duration::from_secs(60);

/// The key that the store knows, and the bucket that is there.
const ACCESS_KEY_ID: &str = "AKIAGATE";
const SECRET_ACCESS_KEY: &str = "canary-secret/of+the=gate";
const BUCKET: &str = "gate-pictures";

/// Where pictures arrive.
pub(super) enum Far {
    Api { receiver: ReceiverHandle, _running: DropGuard },
    S3(Box<Bucket>),
}

/// An identity under which something arrived: key, name and SHA-256.
pub(super) type Identity = (String, String, String);

impl Far {
    pub(super) async fn api() -> (Self, Vec<(String, String)>) {
        let receiver = Receiver::bind(([127, 0, 0, 1], 0).into(), None).await.unwrap();
        let cancel = CancellationToken::new();
        let (handle, url) = (receiver.handle(), receiver.url());
        tokio::spawn(receiver.run(cancel.clone()));
        let far = Self::Api { receiver: handle, _running: cancel.drop_guard() };
        (far, vec![("S3_API_URL".to_owned(), url)])
    }

    /// `None` without an S3 store on this machine.
    pub(super) async fn s3() -> Option<(Self, Vec<(String, String)>)> {
        let bucket = Bucket::start().await?;
        let config = [
            ("S3_ENDPOINT", bucket.endpoint.as_str()),
            ("S3_BUCKET", BUCKET),
            ("S3_ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("S3_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ];
        let config = config.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Some((Self::S3(Box::new(bucket)), config))
    }

    /// What arrived, and how often.
    pub(super) fn arrivals(&self) -> BTreeMap<Identity, u32> {
        match self {
            Self::Api { receiver, .. } => {
                let identity = |one: &Received| {
                    (one.idempotency_key.clone(), one.filename.to_string(), one.sha256.clone())
                };
                receiver.received().iter().map(|one| (identity(one), one.arrivals)).collect()
            }
            Self::S3(bucket) => bucket.objects().into_iter().map(|object| (object, 1)).collect(),
        }
    }

    pub(super) fn fail(&self, (count, fault): (usize, ReceiverFault)) {
        match self {
            Self::Api { receiver, .. } => receiver.fail_next(count, fault),
            Self::S3(_) => panic!("the store is always well"),
        }
    }

    pub(super) fn heal(&self) {
        if let Self::Api { receiver, .. } = self {
            receiver.heal();
        }
    }
}

/// A bucket of a store that checks signatures (s3s-fs); ends with this value.
pub(super) struct Bucket {
    root: TempDir,
    endpoint: String,
    _store: tokio::process::Child,
}

impl Bucket {
    /// Where `scripts/test` has put the store, or wherever it is. Without one a test is skipped, loudly; with
    /// `REQUIRE_PEERS=1` it fails.
    async fn start() -> Option<Self> {
        let own = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("peers/bin/s3s-fs");
        let program = if own.exists() { own } else { "s3s-fs".into() };
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let store = tokio::process::Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--access-key", ACCESS_KEY_ID, "--secret-key", SECRET_ACCESS_KEY])
            .arg(root.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(store) = store else {
            let advice = "there is no s3s-fs; scripts/test installs it";
            assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{advice}");
            eprintln!("SKIPPED {advice}");
            return None;
        };
        let listens = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, listens).await.expect("the store listens");
        Some(Self { endpoint: format!("http://{address}"), root, _store: store })
    }

    /// Key and SHA-256 of each object.
    fn objects(&self) -> BTreeSet<Identity> {
        let (mut found, mut folders) = (BTreeSet::new(), vec![self.root.path().join(BUCKET)]);
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let key = path.strip_prefix(self.root.path().join(BUCKET)).unwrap().to_string_lossy();
                let sha256 = hex(&Sha256::digest(std::fs::read(&path).unwrap()));
                found.insert((key.into_owned(), String::new(), sha256));
            }
        }
        found
    }
}
