//! The display at the box: whether it shows what it should.

use super::Status;

/// The display at the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayState {
    /// Its controller, as in the settings.
    pub kind: &'static str,
    /// Why nothing is shown, and what to do; `None` while it is.
    pub error: Option<String>,
}

impl Status {
    /// The display; `None` where there is none, or before it was first tried.
    pub fn display(&self) -> Option<DisplayState> {
        self.lock().display.clone()
    }

    /// Says how the display is.
    pub fn show_display(&self, state: DisplayState) {
        self.lock().display = Some(state);
    }
}
