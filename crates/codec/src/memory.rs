//! Shares of a broker's memory, and who holds how much of them.
//!
//! Each use of memory has a share. A holder that wants more than is usual claims it first, and
//! gives it back when the claim is dropped. How much one holder may have follows from how much is
//! left: at most [`TIMES`] as much as stays free for all others (the dynamic threshold of Choudhury
//! and Hahne, IEEE/ACM Transactions on Networking 6/2, 1998). One holder alone may so have three
//! quarters of a share. Many greedy ones make each other's part smaller, and something is left at
//! any time for the next one who wants little: of `n` greedy holders, one part in `3 n + 1`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// One holder may have so many times as much of a share as is left for others.
const TIMES: usize = 3;

/// Bytes of memory for one use.
#[derive(Debug)]
pub struct Share {
    limit: usize,
    used: AtomicUsize,
    /// Holders that wait for room.
    waiting: AtomicUsize,
    /// Held by who looks for room and by who says that there is some, so that neither misses the
    /// other.
    turn: Mutex<()>,
    room: Condvar,
}

/// One holder's account with a share.
#[derive(Clone, Debug)]
pub struct Account {
    share: Arc<Share>,
    held: Arc<AtomicUsize>,
}

/// Bytes that are taken of a share until this is dropped.
#[derive(Debug, Default)]
pub struct Claim {
    /// None for a claim of nothing.
    account: Option<Account>,
    bytes: usize,
}

impl Share {
    /// A share of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Share> {
        let (used, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Share { limit, used, waiting, turn: Mutex::new(()), room: Condvar::new() })
    }

    /// A share that is never used up, for whoever has no budget.
    pub fn unlimited() -> Arc<Share> {
        Share::new(usize::MAX / 8)
    }

    /// Bytes that there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that are taken now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for room.
    pub fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// The most that one holder can ever have.
    pub fn most_for_one(&self) -> usize {
        self.limit / (TIMES + 1) * TIMES
    }

    /// A new holder's account.
    pub fn account(self: &Arc<Share>) -> Account {
        Account { share: self.clone(), held: Arc::default() }
    }

    fn admits(&self, used: usize, held: usize, bytes: usize) -> bool {
        let Some(left) = self.limit.checked_sub(used + bytes) else { return false };
        held + bytes <= left.saturating_mul(TIMES)
    }
}

impl Account {
    /// Bytes that the holder has.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether the holder may have so many bytes, of which it holds some already.
    pub fn may_hold(&self, held: usize) -> bool {
        self.share.admits(self.share.used(), held, 0)
    }

    /// The share that it is an account with.
    pub fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// Takes `bytes`, if there is room for them.
    pub fn try_claim(&self, bytes: usize) -> Option<Claim> {
        self.try_take(bytes).then(|| Claim { account: Some(self.clone()), bytes })
    }

    /// Takes `bytes` as soon as there is room, and gives up after `patience`.
    pub fn claim(&self, bytes: usize, patience: Duration) -> Option<Claim> {
        self.wait_to_take(bytes, patience).then(|| Claim { account: Some(self.clone()), bytes })
    }

    /// Takes `bytes`, if there are so many left at all: for what every holder has as much of.
    pub fn claim_last(&self, bytes: usize) -> Option<Claim> {
        let left = |used| (used + bytes <= self.share.limit).then_some(used + bytes);
        self.share.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).ok()?;
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Some(Claim { account: Some(self.clone()), bytes })
    }

    /// Takes `bytes` whether there is room or not: for what cannot wait. Others wait all the
    /// longer.
    pub fn charge(&self, bytes: usize) -> Claim {
        self.take(bytes);
        Claim { account: Some(self.clone()), bytes }
    }

    /// Takes bytes, whether there are so many or not.
    pub fn take(&self, bytes: usize) {
        self.share.used.fetch_add(bytes, Ordering::SeqCst);
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes bytes, if there are so many.
    pub fn try_take(&self, bytes: usize) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        let admitted = self.share.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
            self.share.admits(used, held, bytes).then(|| used + bytes)
        });
        if admitted.is_ok() {
            self.held.fetch_add(bytes, Ordering::Relaxed);
        }
        admitted.is_ok()
    }

    /// The same, where the holder could have a third more.
    pub fn try_take_with_room(&self, bytes: usize) -> bool {
        let more = (self.held() + bytes) / 3;
        let taken = self.try_take(bytes + more);
        if taken {
            self.give_back(more);
        }
        taken
    }

    fn wait_to_take(&self, bytes: usize, patience: Duration) -> bool {
        if self.try_take(bytes) {
            return true;
        }
        let share = &self.share;
        share.waiting.fetch_add(1, Ordering::SeqCst);
        let turn = share.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = false;
        let no_room = |_: &mut ()| {
            taken = self.try_take(bytes);
            !taken
        };
        drop(share.room.wait_timeout_while(turn, patience, no_room));
        share.waiting.fetch_sub(1, Ordering::SeqCst);
        taken
    }

    /// Gives back bytes that were taken.
    pub fn give_back(&self, bytes: usize) {
        let held = self.held.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(held >= bytes, "{bytes} bytes are given back of {held}");
        self.share.used.fetch_sub(bytes, Ordering::SeqCst);
        if self.share.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.share.turn.lock());
            self.share.room.notify_all();
        }
    }
}

impl Claim {
    /// A claim of nothing.
    pub const fn nothing() -> Claim {
        Claim { account: None, bytes: 0 }
    }

    /// The account that it is a claim of; none for one of nothing.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Takes at most `bytes` out of it, as a claim of the same account.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Claim {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Claim { account: self.account.clone(), bytes }
    }

    /// Bytes that are taken.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes as much more as makes `bytes`, if there is room; what is taken already stays.
    pub fn try_grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = more == 0 || self.account.as_ref().is_none_or(|account| account.try_take(more));
        self.note(taken, more)
    }

    /// The same as soon as there is room; gives up after `patience`.
    pub fn grow_to(&mut self, bytes: usize, patience: Duration) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = more == 0
            || self.account.as_ref().is_none_or(|account| account.wait_to_take(more, patience));
        self.note(taken, more)
    }

    /// Takes `more` bytes, whether there is room or not.
    pub fn charge(&mut self, more: usize) {
        if let Some(account) = &self.account {
            account.take(more);
            self.bytes += more;
        }
    }

    /// Gives back what is above `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        if let Some(account) = &self.account
            && self.bytes > bytes
        {
            account.give_back(self.bytes - bytes);
            self.bytes = bytes;
        }
    }

    fn note(&mut self, taken: bool, more: usize) -> bool {
        if taken && self.account.is_some() {
            self.bytes += more;
        }
        taken
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(account) = &self.account
            && self.bytes > 0
        {
            account.give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_holder_may_have_three_quarters_and_many_leave_something() {
        let share = Share::new(4_000);
        let alone = share.account();
        assert!(alone.try_claim(3_001).is_none());
        let all = alone.try_claim(share.most_for_one()).unwrap();
        assert_eq!((all.bytes(), share.used(), alone.held()), (3_000, 3_000, 3_000));
        assert!(alone.try_claim(1).is_none(), "it holds as much as it may");
        let second = share.account().try_claim(750).unwrap();
        assert!(share.account().try_claim(200).is_none());
        drop((all, second));
        assert_eq!((share.used(), alone.held()), (0, 0));

        // However many want everything, a newcomer who wants little finds it.
        let accounts: Vec<Account> = (0..100).map(|_| share.account()).collect();
        let mut claims: Vec<Claim> = Vec::new();
        for _ in 0..1_000 {
            claims.extend(accounts.iter().filter_map(|greedy| greedy.try_claim(1)));
        }
        let left = share.limit() - share.used();
        assert!((4_000 / 301..=4_000 / 301 + 2).contains(&left), "{left} bytes are left");
        assert!(share.account().try_claim(left / 2).is_some());
    }

    #[test]
    fn who_waits_is_woken_when_there_is_room_and_gives_up_when_there_is_none() {
        let share = Share::new(1_000);
        let first = share.account().try_claim(750).unwrap();
        assert!(share.account().claim(600, Duration::ZERO).is_none());
        let (asks, is_asking) = mpsc::channel();
        let waiting = {
            let account = share.account();
            thread::spawn(move || {
                asks.send(()).unwrap();
                account.claim(600, LONG).map(|claim| claim.bytes())
            })
        };
        is_asking.recv().unwrap();
        while !share.is_wanted() {
            thread::yield_now();
        }
        drop(first);
        assert_eq!(waiting.join().unwrap(), Some(600));
        assert_eq!((share.used(), share.is_wanted()), (0, false));
    }

    /// It would be asked for a third as much again as it holds.
    #[test]
    fn a_claim_that_holds_enough_does_not_wait_whatever_others_have() {
        let share = Share::new(1_000);
        let mut large = share.account().try_claim(700).unwrap();
        let _others = share.account().charge(290);
        assert!(large.try_grow_to(600) && large.grow_to(700, Duration::ZERO));
        assert_eq!((large.bytes(), share.used()), (700, 990));
        assert!(!large.try_grow_to(701));
    }

    #[test]
    fn a_claim_grows_shrinks_and_is_charged_what_cannot_wait() {
        let share = Share::new(1_000);
        let account = share.account();
        let mut claim = account.try_claim(100).unwrap();
        assert!(claim.try_grow_to(700) && claim.grow_to(700, LONG));
        assert!(!claim.try_grow_to(751) && !claim.grow_to(751, Duration::ZERO));
        claim.charge(500);
        assert_eq!((claim.bytes(), share.used()), (1_200, 1_200));
        assert!(share.account().try_claim(0).is_none(), "more than all is taken");
        claim.shrink_to(50);
        claim.shrink_to(60);
        assert_eq!((claim.bytes(), account.held()), (50, 50));
        let mut nothing = Claim::nothing();
        nothing.charge(5);
        assert!(nothing.try_grow_to(usize::MAX));
        drop((claim, nothing));
        assert_eq!(share.used(), 0);
    }
}
