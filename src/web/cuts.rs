//! Views cut to the rights of their readers: one for each set of rights,
//! shared by all who have it, for as long as the whole view is the newest.

use std::sync::{Arc, Mutex, PoisonError};

use crate::core::view::{FleetView, Visible};

/// Cuts kept at once; the one that was used longest ago goes first.
const KEPT: usize = 32;

struct Cut {
    visible: Arc<Visible>,
    whole: Arc<FleetView>,
    view: Arc<FleetView>,
}

/// The cuts of the newest views.
#[derive(Default)]
pub(crate) struct Cuts(Mutex<Vec<Cut>>);

impl Cuts {
    /// `whole` as it may be seen with these rights.
    pub(crate) fn of(&self, whole: &Arc<FleetView>, visible: &Arc<Visible>) -> Arc<FleetView> {
        if **visible == Visible::all() {
            return Arc::clone(whole);
        }
        if let Some(view) = self.known(whole, visible) {
            return view;
        }
        // Outside the lock: readers with other rights need not wait.
        let view = Arc::new(whole.seen_by(visible));
        let mut cuts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cuts.retain(|cut| cut.visible != *visible);
        if cuts.len() >= KEPT {
            cuts.remove(0);
        }
        cuts.push(Cut {
            visible: Arc::clone(visible),
            whole: Arc::clone(whole),
            view: Arc::clone(&view),
        });
        view
    }

    fn known(&self, whole: &Arc<FleetView>, visible: &Arc<Visible>) -> Option<Arc<FleetView>> {
        let mut cuts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = cuts
            .iter()
            .position(|cut| Arc::ptr_eq(&cut.whole, whole) && cut.visible == *visible)?;
        let cut = cuts.remove(at);
        let view = Arc::clone(&cut.view);
        cuts.push(cut);
        Some(view)
    }
}
