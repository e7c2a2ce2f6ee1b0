//! Serves the made-up fleet for looking at; the browser test follows.

use pilothouse::core::view::{FleetView, example};
use pilothouse::web::{WebOptions, WebState, router};
use std::sync::Arc;

#[tokio::test]
#[ignore]
async fn serve() {
    let view = FleetView::build(example::facts(jiff::Timestamp::now()));
    let (_tx, rx) = tokio::sync::watch::channel(Arc::new(view));
    let state = WebState::new(
        rx,
        None,
        tokio_util::sync::CancellationToken::new(),
        WebOptions::default(),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:18099")
        .await
        .unwrap();
    axum::serve(listener, router(state)).await.unwrap();
}
