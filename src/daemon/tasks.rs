//! What each part is called as a task, and that it is run.

use tokio_util::sync::CancellationToken;

use super::alarms::Alarms;
use super::clock_watch::ClockWatch;
use super::supervise::Task;
use super::upkeep::Upkeep;
use crate::capture::{CameraSession, Capture, LiveDecoder, PushTask};
use crate::disk::retention::RetentionTask;
use crate::display::DisplayTask;
use crate::ingest::{FolderTask, FtpServer};
use crate::model::chain::chain;
use crate::status::descriptors::DescriptorWatch;
use crate::trigger::Triggers;
use crate::upload::{AnalysisLane, Connectivity, Lane};

macro_rules! task {
    ($type:ty, $kind:literal, $self:ident => $label:expr) => {
        impl Task for $type {
            fn kind(&self) -> &'static str {
                $kind
            }

            fn label(&self) -> String {
                let $self = self;
                $label
            }

            async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
                Self::run(self, cancel).await;
                Ok(())
            }
        }
    };
}

task!(Alarms, "alarms", _this => "alarms".to_owned());
task!(CameraSession, "camera", this => format!("camera:{}", this.key()));
task!(LiveDecoder, "decoding", this => format!("decoding:{}", this.key()));
task!(Capture, "capture", this => format!("capture:{}", this.key()));
task!(PushTask, "pushes", _this => "pushes".to_owned());
task!(Triggers, "contacts", _this => "contacts".to_owned());
task!(DescriptorWatch, "descriptors-watch", _this => "descriptors".to_owned());
task!(DisplayTask, "display", _this => "display".to_owned());
task!(RetentionTask, "retention", _this => "retention".to_owned());

impl Task for AnalysisLane {
    fn kind(&self) -> &'static str {
        "analysis"
    }

    fn label(&self) -> String {
        "analysis".to_owned()
    }

    async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        Self::run(self, cancel).await.map_err(|error| chain(&error))
    }
}

task!(Connectivity, "connectivity", this => format!("connectivity:{}", this.id()));

impl Task for FtpServer {
    fn kind(&self) -> &'static str {
        "ftp"
    }

    fn label(&self) -> String {
        "ftp".to_owned()
    }

    async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        Self::run(self, cancel).await
    }
}

impl Task for FolderTask {
    fn kind(&self) -> &'static str {
        "folder"
    }

    fn label(&self) -> String {
        format!("folder:{}", self.device())
    }

    async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        Self::run(self, cancel).await
    }
}

impl Task for Lane {
    fn kind(&self) -> &'static str {
        "upload"
    }

    fn label(&self) -> String {
        format!("upload:{}", Self::id(self))
    }

    async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        Self::run(self, cancel).await.map_err(|error| chain(&error))
    }
}

impl Task for ClockWatch {
    fn kind(&self) -> &'static str {
        "clock"
    }

    fn label(&self) -> String {
        "clock".to_owned()
    }

    async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        Self::run(self, cancel).await.map_err(|error| chain(&error))
    }
}

impl Task for Upkeep {
    fn kind(&self) -> &'static str {
        "upkeep"
    }

    fn label(&self) -> String {
        "upkeep".to_owned()
    }

    async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        Self::run(self, cancel).await.map_err(|error| chain(&error))
    }
}
