//! What the daemon writes, line by line, and what its JSON log says.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// The lines a process has written so far, standard output and standard error together.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

/// Where the time of a capture went, as the daemon says it: from the edge until the picture is durable, and the stages.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) file: String,
    pub(crate) offset_ms: i64,
    pub(crate) total_ms: u64,
    pub(crate) wait_ms: u64,
    pub(crate) decode_ms: u64,
    pub(crate) encode_ms: u64,
    pub(crate) write_ms: u64,
    pub(crate) frames: u64,
}

impl Lines {
    /// Reads to the end of the stream, in the background.
    pub(crate) fn read(&self, stream: impl AsyncRead + Unpin + Send + 'static) {
        let lines = self.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(stream).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                lines.0.lock().unwrap().push(line);
            }
        });
    }

    /// All of them in one text.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    /// The rest of the first line that begins so.
    pub(crate) fn after(&self, beginning: &str) -> Option<String> {
        self.0.lock().unwrap().iter().find_map(|line| line.strip_prefix(beginning).map(str::to_owned))
    }

    /// Every picture that was said to be stored.
    pub(crate) fn captured(&self) -> Vec<Captured> {
        self.0.lock().unwrap().iter().filter_map(|line| captured(line)).collect()
    }
}

fn captured(line: &str) -> Option<Captured> {
    // Most lines say something else.
    if !line.contains("captured") {
        return None;
    }
    let event: Value = serde_json::from_str(line).ok()?;
    let fields = event.get("fields").unwrap_or(&event);
    if fields["message"] != "captured" {
        return None;
    }
    let number = |name: &str| fields[name].as_u64().unwrap_or_else(|| panic!("{name} is missing in {line}"));
    Some(Captured {
        file: fields["file"].as_str().expect("a captured picture has a name").to_owned(),
        offset_ms: fields["offset_ms"].as_i64().expect("a captured picture has an offset"),
        total_ms: number("total_ms"),
        wait_ms: number("wait_ms"),
        decode_ms: number("decode_ms"),
        encode_ms: number("encode_ms"),
        write_ms: number("write_ms"),
        frames: number("frames"),
    })
}
