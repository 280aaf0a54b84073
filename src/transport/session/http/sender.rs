//! Who has sent a request. Each is judged by its own credentials.

use std::io;

use super::Session;
use crate::http::{Head, Problem, credentials};
use crate::protocol::{ErrorCode, Refusal};

impl Session {
    /// Finds out who has sent a request.
    pub(super) fn identify_sender(&mut self, head: &Head) -> io::Result<Result<(), Problem>> {
        let authorization = head.field("authorization");
        let known = self.http.as_ref().and_then(|http| http.authorization.as_deref());
        if known == authorization
            && let Some(member) = &mut self.member
        {
            match member.renew(&self.shared.users) {
                Ok(_) => return Ok(self.login_is_done()),
                // As somebody who has just come.
                Err(_) => self.forget_sender(),
            }
        }
        self.stop_asking();
        let mut before = self.member.take();
        let met = |session: &Session| {
            let name = session.incoming.certificate_name();
            session.shared.users.meet(name).map_err(Problem::from)
        };
        let member = match authorization {
            None => {
                drop(before.take());
                met(self)
            }
            Some(value) => match credentials(value) {
                Err(problem) => Err(problem),
                Ok(credentials) => match self.verify(&credentials, &mut before)? {
                    Ok(Some(member)) => Ok(member),
                    Ok(None) => met(self),
                    Err(refusal) => {
                        // What came meanwhile was not read as a request.
                        self.http.get_or_insert_default().is_last = true;
                        Err(refusal.into())
                    }
                },
            },
        };
        match member {
            Err(problem) => {
                self.forget_sender();
                Ok(Err(problem))
            }
            Ok(member) => {
                self.become_member(member);
                if let Some(http) = &mut self.http {
                    http.authorization = authorization.map(Into::into);
                }
                Ok(self.login_is_done())
            }
        }
    }

    fn login_is_done(&self) -> Result<(), Problem> {
        if self.awaits_login() {
            let what = "log in: by Authorization, with Basic or Bearer, or by a client certificate";
            return Err(Refusal::new(ErrorCode::LoginRequired, what).into());
        }
        Ok(())
    }

    pub(super) fn forget_sender(&mut self) {
        self.stop_asking();
        self.member = None;
        if let Some(http) = &mut self.http {
            http.authorization = None;
        }
    }
}
