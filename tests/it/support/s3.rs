//! An S3 store that checks signatures (s3s-fs), and an independent reader of what is in it (boto3).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::program::{free_port, serve};

/// The key that the store knows.
pub(crate) const ACCESS_KEY_ID: &str = "AKIAGATE";
pub(crate) const SECRET_ACCESS_KEY: &str = "canary-secret/of+the=gate";

/// The bucket that is there.
pub(crate) const BUCKET: &str = "gate-pictures";

/// The host name before which the bucket may stand; nobody resolves it.
pub(crate) const DOMAIN: &str = "s3.gate.example";

/// Longest reading.
const LIMIT: Duration = Duration::from_secs(20);

/// The system's Python has Debian's boto3.
const PYTHON: &str = "/usr/bin/python3";

/// Lists a bucket: key, SHA-256 of the bytes, type and metadata.
const READER: &str = r"
import boto3, hashlib, json, sys
from botocore.client import Config
endpoint, key, secret, bucket = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret,
                  region_name='us-east-1', config=Config(s3={'addressing_style': 'path'}))
found = {}
for page in s3.get_paginator('list_objects_v2').paginate(Bucket=bucket):
    for entry in page.get('Contents', []):
        thing = s3.get_object(Bucket=bucket, Key=entry['Key'])
        found[entry['Key']] = {'sha256': hashlib.sha256(thing['Body'].read()).hexdigest(),
                               'type': thing['ContentType'], 'metadata': thing['Metadata']}
print(json.dumps(found))
";

/// A running store; ends with this value.
pub(crate) struct S3Peer {
    _child: Child,
    root: TempDir,
    port: u16,
}

/// Where `scripts/test` has put it, or wherever it is.
fn program() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_camera-capture"));
    let own = built.ancestors().nth(2).unwrap().join("peers/bin/s3s-fs");
    if own.exists() { own } else { PathBuf::from("s3s-fs") }
}

/// Whether store and reader are there. Without them a test is skipped, loudly; with `REQUIRE_PEERS=1` it fails.
pub(crate) async fn is_available(test: &str) -> bool {
    let store = Command::new(program()).arg("--version").output().await;
    let reader = Command::new(PYTHON).args(["-c", "import boto3"]).output().await;
    let works = |output: &std::io::Result<std::process::Output>| {
        output.as_ref().is_ok_and(|output| output.status.success())
    };
    let advice = match (works(&store), works(&reader)) {
        (true, true) => return true,
        (false, _) => format!("{test}: there is no s3s-fs; scripts/test installs it"),
        (true, false) => format!("{test}: {PYTHON} has no boto3; scripts/test installs it"),
    };
    assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{advice}");
    super::report(&format!("SKIPPED {advice}"));
    false
}

impl S3Peer {
    /// A store with an empty bucket on a free port.
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let port = free_port().await;
        let mut command = Command::new(program());
        command
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--access-key", ACCESS_KEY_ID, "--secret-key", SECRET_ACCESS_KEY])
            .args(["--domain", DOMAIN])
            .arg(root.path());
        let child = serve("the S3 store", command, port).await;
        Self { _child: child, root, port }
    }

    /// `S3_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The file of an object.
    pub(crate) fn file(&self, key: &str) -> PathBuf {
        self.root.path().join(BUCKET).join(key)
    }

    /// Everything in the bucket as boto3 reads it, by key.
    pub(crate) async fn read(&self) -> BTreeMap<String, Value> {
        let reading = Command::new(PYTHON)
            .args(["-c", READER, &self.endpoint(), ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET])
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, reading).await.expect("boto3 answers").unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
