//! The public links that a lane gives to its target, where messages have an address in place of the file.
//!
//! A link is made before its message is sent, and is the same at the next attempt: only its hash is stored, so what is not
//! remembered here would be made anew, and every attempt leave one more.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Config;
use crate::model::{LinkToken, TargetId, UnixMs};
use crate::store::{DueUpload, StoreError, TargetQueue};

/// Links that are remembered; more pictures than that are seldom tried in turn.
const KEPT_MAX: usize = 256;

/// The links of one lane.
pub(super) struct SharedLinks {
    /// Whether the target wants any.
    are_wanted: bool,
    /// How long they hold; `None` is for ever.
    life: Option<Duration>,
    /// By the row of the picture: its link, and when that is too old for another message.
    kept: BTreeMap<i64, (LinkToken, Option<UnixMs>)>,
}

impl SharedLinks {
    pub(super) fn new(config: &Config, target: TargetId) -> Self {
        let settings = config.upload.target(target).map(|target| &target.settings);
        let are_wanted = settings.is_some_and(|settings| settings.wants_link());
        Self { are_wanted, life: config.web.links.life, kept: BTreeMap::new() }
    }

    /// The upload with its link, if the target wants one.
    pub(super) async fn lend(
        &mut self,
        queue: &TargetQueue,
        mut upload: DueUpload,
        now: UnixMs,
    ) -> Result<DueUpload, StoreError> {
        if !self.are_wanted {
            return Ok(upload);
        }
        if let Some((token, until)) = self.kept.get(&upload.row())
            && until.is_none_or(|until| now < until)
        {
            upload.link = Some(token.clone());
            return Ok(upload);
        }
        let after = |life: Duration| now.plus_ms(i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let link = queue.share(&upload, now, self.life.map(after)).await?;
        if let Some(token) = &link {
            // Whoever reads the message has at least half of the time.
            self.kept.insert(upload.row(), (token.clone(), self.life.map(|life| after(life / 2))));
            if self.kept.len() > KEPT_MAX {
                self.kept.pop_first();
            }
        }
        upload.link = link;
        Ok(upload)
    }

    /// What was delivered is not sent again.
    pub(super) fn forget(&mut self, row: i64) {
        self.kept.remove(&row);
    }
}
