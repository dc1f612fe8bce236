//! Whether something fails at the moment, so that the log gets one line when it begins and one when it ends.

/// Fails, or does not.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Failing(bool);

impl Failing {
    /// It failed. Whether that is news.
    pub(super) fn began(&mut self) -> bool {
        !std::mem::replace(&mut self.0, true)
    }

    /// It went well. Whether that is news.
    pub(super) fn ended(&mut self) -> bool {
        std::mem::replace(&mut self.0, false)
    }
}
