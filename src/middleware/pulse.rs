//! Whether a broker that says nothing is still there.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

/// The silence after which a client asks, where nobody says otherwise.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// Notes when something was heard last. A router that forgets a connection, or a machine that
/// stops, closes nothing: whoever only listens would do so for ever.
#[derive(Debug)]
pub(super) struct Pulse {
    /// After so long the broker is asked; `None` for never.
    silence: Option<Duration>,
    /// So long it may take to answer.
    patience: Duration,
    heard: Instant,
    asked: Option<Instant>,
}

/// What is to be done about the silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A ping is to be sent.
    Ask,
    /// Nothing came after it.
    Gone,
}

impl Pulse {
    /// `timeout` is what the program gives other answers. It may be short for reasons that are no
    /// reason to give up a connection: an answer to silence has as long as the silence was.
    pub(super) fn new(silence: Option<Duration>, timeout: Duration) -> Pulse {
        let patience = silence.map_or(timeout, |silence| silence.max(timeout));
        Pulse { silence, patience, heard: Instant::now(), asked: None }
    }

    /// Something came, whatever it was.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
        self.asked = None;
    }

    /// When there will be something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.asked {
            Some(asked) => asked.checked_add(self.patience),
            None => self.heard.checked_add(self.silence?),
        }
    }

    /// What there is to do now, if nothing can be read. Whoever is told to ask does so.
    pub(super) fn due(&mut self) -> Option<Due> {
        let now = Instant::now();
        if self.next()? > now {
            return None;
        }
        match self.asked {
            Some(_) => Some(Due::Gone),
            None => {
                self.asked = Some(now);
                Some(Due::Ask)
            }
        }
    }

    /// How long a silence there can be at most; `None` where there is no end to it.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.silence?.checked_add(self.patience)
    }

    /// Has the system ask as well: it goes on when the program does not call the library.
    pub(super) fn keep_alive(&self, stream: &TcpStream) {
        const QUESTIONS: u32 = 3;
        let Some(silence) = self.silence else { return };
        // TCP counts in seconds.
        let interval = (silence / QUESTIONS).max(Duration::from_secs(1));
        // What the system does not know it does without; the ping does not depend on it.
        let _ = sockopt::set_tcp_keepidle(stream, silence.max(Duration::from_secs(1)));
        let _ = sockopt::set_tcp_keepintvl(stream, interval);
        let _ = sockopt::set_tcp_keepcnt(stream, QUESTIONS);
        let _ = sockopt::set_socket_keepalive(stream, true);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(longest) = self.longest() {
            // The system asks nothing while something is unconfirmed: that has a time of its own.
            let milliseconds = u32::try_from(longest.as_millis()).unwrap_or(u32::MAX);
            let _ = sockopt::set_tcp_user_timeout(stream, milliseconds.max(1_000));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_about_once_and_an_answer_ends_it() {
        let mut pulse = Pulse::new(Some(Duration::ZERO), Duration::ZERO);
        assert_eq!((pulse.due(), pulse.due()), (Some(Due::Ask), Some(Due::Gone)));
        pulse.heard();
        assert_eq!(pulse.due(), Some(Due::Ask));
        let mut patient = Pulse::new(Some(Duration::ZERO), Duration::from_secs(60));
        assert_eq!((patient.due(), patient.due()), (Some(Due::Ask), None));
        let mut deaf = Pulse::new(None, Duration::ZERO);
        assert_eq!((deaf.next(), deaf.due()), (None, None));
    }

    #[test]
    fn the_system_asks_as_well() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Pulse::new(None, SILENCE).keep_alive(&stream);
        assert!(!sockopt::socket_keepalive(&stream).unwrap());
        Pulse::new(Some(SILENCE), SILENCE).keep_alive(&stream);
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), SILENCE);
        assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap(), SILENCE / 3);
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 60_000);
    }
}
