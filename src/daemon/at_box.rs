//! What the dashboard tells the display at the box: where it listens, and the set-up code while there is no password.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Secret;
use crate::display::DisplayInputs;
use crate::web::SetupCodes;

/// How often it is looked whether a password was set; the code is on the display until then.
const CODE_LOOK: Duration = Duration::from_secs(2);

/// What is told.
pub(super) struct AtBox {
    has_display: bool,
    listens: watch::Sender<Option<SocketAddr>>,
    code: watch::Sender<Option<Secret<String>>>,
}

impl AtBox {
    pub(super) fn new(has_display: bool) -> Self {
        Self { has_display, listens: watch::Sender::new(None), code: watch::Sender::new(None) }
    }

    /// For the display.
    pub(super) fn inputs(&self) -> DisplayInputs {
        DisplayInputs { listens: self.listens.subscribe(), code: self.code.subscribe() }
    }

    /// Tells it while the dashboard is served.
    pub(super) async fn during(
        &self,
        addr: SocketAddr,
        codes: SetupCodes,
        served: impl Future<Output = io::Result<()>>,
    ) -> io::Result<()> {
        let mut served = pin!(served);
        self.listens.send_replace(Some(addr));
        let ended = loop {
            if self.has_display {
                // A code that cannot be told to be out of use is not shown.
                self.code.send_replace(codes.current().await.ok().flatten().map(Secret::new));
            }
            let may_end = self.code.borrow().is_some();
            tokio::select! {
                ended = &mut served => break ended,
                () = tokio::time::sleep(CODE_LOOK), if may_end => {}
            }
        };
        self.listens.send_replace(None);
        self.code.send_replace(None);
        ended
    }
}
