//! Git access: one bare mirror per URL, polled and fetched; trees read without a checkout.
