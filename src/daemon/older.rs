//! `COMPAT_PORT`: the routes of older receivers on a port of their own. A task apart from the dashboard, because that port
//! may still be taken by the receiver that this program replaces, and the dashboard must be there all the same.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::supervise::Task;
use crate::model::chain::chain;
use crate::web::OlderRoutes;

/// The port, and what is served there once the dashboard is there.
pub struct OlderPort {
    port: u16,
    routes: watch::Receiver<Option<OlderRoutes>>,
}

impl OlderPort {
    /// Serves on this port what the dashboard says.
    pub fn new(port: u16, routes: watch::Receiver<Option<OlderRoutes>>) -> Self {
        Self { port, routes }
    }
}

impl Task for OlderPort {
    fn kind(&self) -> &'static str {
        "older-port"
    }

    fn label(&self) -> String {
        "older-port".to_owned()
    }

    async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        let routes = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            routes = self.routes.wait_for(Option::is_some) => match routes {
                Ok(routes) => routes.clone(),
                Err(_) => return Ok(()),
            },
        };
        let Some(routes) = routes else { return Ok(()) };
        let bound = routes.bind(self.port).map_err(|error| chain(&error))?;
        info!(address = %bound.addr(), "the routes of older receivers are served");
        bound.run(cancel).await.map_err(|error| chain(&error))
    }
}
