//! The dashboard, its JSON twins and the webhook.
