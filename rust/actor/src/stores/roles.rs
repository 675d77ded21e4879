//! Who agents can be: `role-catalog`.

use std::sync::Arc;

use super::catalog::{Catalog, CatalogKind, Item, Limited, names};
use super::secrets::{check_lists, check_urls};
use super::{ID_BYTES_MAX, check_text};
use crate::error::{ActorError, Result};
use crate::kind::{Happened, Kind, Unreadable, events};
use crate::messages::{
    Encoding, Name, Role, RoleDraft, RoleDraftDeleted, RoleDraftSaved, RolesSaved, RolesState,
};

events! {
    /// What happens to it.
    RolesEvent: RolesSaved, RoleDraftSaved, RoleDraftDeleted
}

/// See the top of this file.
#[derive(Debug)]
pub struct RolesKind;

impl Kind for RolesKind {
    const NAME: &'static str = "role-catalog";
    type State = Catalog<Role>;
    type Event = RolesEvent;

    fn evolve(state: &mut Self::State, happened: &Happened<RolesEvent>) {
        match &happened.event {
            RolesEvent::RolesSaved(saved) => state.replace(&saved.roles),
            RolesEvent::RoleDraftSaved(saved) => state.set_draft(saved.draft.as_ref()),
            RolesEvent::RoleDraftDeleted(_) => state.set_draft(None),
        }
    }
}

impl CatalogKind for RolesKind {
    type Item = Role;

    fn saved(roles: Vec<Role>) -> Happened<RolesEvent> {
        RolesSaved { roles }.into()
    }

    fn draft_saved(draft: RoleDraft) -> Happened<RolesEvent> {
        RoleDraftSaved { draft: Some(draft) }.into()
    }

    fn draft_deleted() -> Happened<RolesEvent> {
        RoleDraftDeleted {}.into()
    }
}

impl Item for Role {
    type Draft = RoleDraft;
    const ITEMS: &'static str = "roles";
    const KEY: &'static str = "id";
    const LIMITED: Limited = Limited {
        items: "roles of a catalog",
        item: "bytes of a role",
        catalog: "bytes of a catalog of roles",
    };

    fn key(&self) -> &str {
        &self.id
    }

    fn normal(self) -> Self {
        let id = self.id.trim().to_owned();
        let name = match self.name.trim() {
            "" => id.clone(),
            name => name.to_owned(),
        };
        Self {
            id,
            name,
            connectors: names(self.connectors),
            ..self
        }
    }

    fn check(&self, at: &str) -> Result<()> {
        if self.id.is_empty() {
            return Err(ActorError::invalid(format!("{at}.id"), "", "it is blank"));
        }
        check_text("id", &self.id, ID_BYTES_MAX).map(drop)
    }

    /// Of every field but the prompt, which is prose: it may say how a URL with a parameter looks.
    fn check_secrets(&self, at: &str) -> Result<()> {
        let Self {
            id,
            name,
            system_prompt: _,
            provider,
            model,
            connectors,
        } = self;
        for (field, text) in [
            ("id", id),
            ("name", name),
            ("provider", provider),
            ("model", model),
        ] {
            check_urls(&format!("{at}.{field}"), text)?;
        }
        check_lists(&[(format!("{at}.connectors"), connectors)])
    }

    fn draft(item: Option<Self>, updated_at_ms: i64) -> RoleDraft {
        RoleDraft {
            item: item.map(Box::new),
            updated_at_ms,
        }
    }

    fn state_name() -> String {
        RolesState::full_name()
    }

    fn state(catalog: &Catalog<Self>) -> Vec<u8> {
        let state = RolesState {
            roles: catalog.items.to_vec(),
            saved: catalog.saved,
            draft: catalog.draft.as_deref().cloned().map(Box::new),
        };
        state.encode_to_vec()
    }

    fn of_state(message: &[u8]) -> Result<Catalog<Self>, Unreadable> {
        let state = RolesState::decode(message)?;
        Ok(Catalog {
            items: Arc::new(state.roles),
            saved: state.saved,
            draft: state.draft.map(|draft| (*draft).into()),
        })
    }
}
