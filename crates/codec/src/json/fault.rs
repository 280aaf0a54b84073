//! Why a JSON text was not read to its end.

use crate::out_buf::Stop;
use crate::protocol::{ErrorCode, MAX_DEPTH, Refusal};

/// Why a text was not read to its end.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The sink does not go on.
    Stop(Stop),
    /// Something is wrong with the text, or it is over a limit.
    Refused(Box<Refusal>),
}

impl Fault {
    /// What is wrong; a sink that refuses nothing itself does not stop.
    pub(super) fn into_refusal(self) -> Refusal {
        match self {
            Fault::Refused(refusal) => *refusal,
            Fault::Stop(_) => too_deep(),
        }
    }

    /// The same for a sink whose text is to be written another way, or into more room.
    pub(crate) fn into_stop(self) -> Stop {
        match self {
            Fault::Stop(stop) => stop,
            Fault::Refused(_) => Stop::Unusual,
        }
    }
}

impl From<Stop> for Fault {
    #[inline(always)]
    fn from(stop: Stop) -> Fault {
        Fault::Stop(stop)
    }
}

impl From<Refusal> for Fault {
    #[cold]
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(Box::new(refusal))
    }
}

/// The refusal of a message that nests too deep.
#[cold]
pub(super) fn too_deep() -> Refusal {
    Refusal::new(ErrorCode::TooDeep, format!("the message nests deeper than {MAX_DEPTH} levels"))
}
