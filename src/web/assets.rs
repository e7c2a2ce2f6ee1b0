//! The files a page loads: embedded, named by their content, cached for good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::core::object::Digest;

/// A file of the page.
struct Asset {
    stem: &'static str,
    extension: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

const STYLE: Asset = Asset {
    stem: "app",
    extension: "css",
    content_type: "text/css; charset=utf-8",
    body: include_bytes!("assets/app.css"),
};
const SCRIPT: Asset = Asset {
    stem: "live",
    extension: "js",
    content_type: "text/javascript; charset=utf-8",
    body: include_bytes!("assets/live.js"),
};
const ICONS: Asset = Asset {
    stem: "icons",
    extension: "svg",
    content_type: "image/svg+xml",
    body: include_bytes!("assets/icons.svg"),
};
const FAVICON: Asset = Asset {
    stem: "favicon",
    extension: "svg",
    content_type: "image/svg+xml",
    body: include_bytes!("assets/favicon.svg"),
};

/// Addresses of the files, with their content's hash in the name.
pub(crate) struct Links {
    pub(crate) style: String,
    pub(crate) script: String,
    pub(crate) icons: String,
    pub(crate) favicon: String,
}

/// The addresses, computed once.
pub(crate) static LINKS: LazyLock<Links> = LazyLock::new(|| Links {
    style: STYLE.address(),
    script: SCRIPT.address(),
    icons: ICONS.address(),
    favicon: FAVICON.address(),
});

impl Asset {
    fn name(&self) -> String {
        let digest = Digest::of_bytes(self.body);
        format!("{}.{}.{}", self.stem, digest.short(), self.extension)
    }

    fn address(&self) -> String {
        format!("/-/static/{}", self.name())
    }
}

/// `GET /-/static/{name}`: immutable, because a new content has a new name.
pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let wanted = [STYLE, SCRIPT, ICONS, FAVICON].into_iter().find(|asset| {
        let (stem, extension) = (asset.stem, asset.extension);
        name.starts_with(stem) && name.ends_with(extension) && name == asset.name()
    });
    match wanted {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.content_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.body,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::view::Tone;

    fn text(asset: &Asset) -> String {
        String::from_utf8(asset.body.to_vec()).unwrap()
    }

    #[test]
    fn every_tone_has_an_icon_and_a_rule() {
        for tone in Tone::ALL {
            let name = tone.name();
            assert!(
                text(&ICONS).contains(&format!("<symbol id=\"{name}\"")),
                "icon {name}"
            );
            assert!(
                text(&STYLE).contains(&format!("[data-tone={name}] {{")),
                "rule {name}"
            );
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in [STYLE, SCRIPT, ICONS, FAVICON] {
            let text = text(&asset).replace("http://www.w3.org/2000/svg", "");
            assert!(
                !text.contains("http://")
                    && !text.contains("https://")
                    && !text.contains("@import")
            );
            assert!(!text.contains("eval(") && !text.contains("new Function"));
        }
    }

    #[test]
    fn the_style_sheet_and_the_script_stay_small() {
        assert!(STYLE.body.len() < 20_000, "{} bytes", STYLE.body.len());
        assert!(SCRIPT.body.len() < 6_000, "{} bytes", SCRIPT.body.len());
    }
}
