//! Contacts.

use serde::Serialize;
use utoipa::ToSchema;

use super::closed::ClosedWord;
use super::time::Time;
use crate::gpio::Level;
use crate::model::CameraKey;
use crate::status::{GpioStatus, LineState};

/// A contact.
#[derive(Serialize, ToSchema)]
#[schema(as = Line)]
pub(in crate::web) struct LineView {
    /// BCM number.
    #[schema(example = 17)]
    pub(in crate::web) pin: u8,
    /// Null if it could not be read.
    #[schema(value_type = Option<Level>)]
    pub(in crate::web) level: Option<&'static str>,
    /// Whether the contact is closed.
    pub(in crate::web) active: bool,
    pub(in crate::web) camera: CameraKey,
    /// The newest edge.
    pub(in crate::web) last_edge: Option<Time>,
    /// The same in milliseconds since 1970.
    pub(in crate::web) last_edge_ms: Option<i64>,
    /// Edges seen.
    pub(in crate::web) edges: u64,
    /// Edges that were bounce.
    pub(in crate::web) bounces: u64,
}

impl From<LineState> for LineView {
    fn from(line: LineState) -> Self {
        Self {
            pin: line.pin,
            level: line.level.map(|level| level.word()),
            active: line.active,
            camera: line.camera,
            last_edge: line.last_edge.map(Time),
            last_edge_ms: line.last_edge.map(|at| at.0),
            edges: line.edges,
            bounces: line.bounces,
        }
    }
}

/// All contacts.
#[derive(Serialize, ToSchema)]
#[schema(as = Gpio)]
pub(in crate::web) struct GpioView {
    /// `GPIO_ENABLED`.
    pub(in crate::web) enabled: bool,
    /// `rppal`, `cdev` or `sim`; empty while none is open.
    #[schema(example = "cdev")]
    pub(in crate::web) backend: &'static str,
    /// Why the contacts cannot be watched, and what to do.
    pub(in crate::web) error: Option<String>,
    /// By pin.
    pub(in crate::web) lines: Vec<LineView>,
}

impl From<GpioStatus> for GpioView {
    fn from(gpio: GpioStatus) -> Self {
        Self {
            enabled: gpio.enabled,
            backend: gpio.backend,
            error: gpio.error,
            lines: gpio.lines.into_iter().map(LineView::from).collect(),
        }
    }
}

/// How a simulated contact stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Simulated)]
pub(in crate::web) struct SimulatedView {
    pub(in crate::web) camera: CameraKey,
    /// BCM number.
    #[schema(example = 17)]
    pub(in crate::web) pin: u8,
    #[schema(value_type = Level)]
    pub(in crate::web) level: &'static str,
}
