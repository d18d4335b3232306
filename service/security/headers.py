"""The headers of every response: what a browser may do with our page, for `Security` to add."""

from __future__ import annotations

import base64
import hashlib

# What plotly.js writes into style attributes; the empty text is also its <style>, to which it then adds rules.
_PLOTLY_STYLES = (
    "",
    "font-weight:bold",
    "font-style:italic",
    "image-rendering: optimizeSpeed; image-rendering: -moz-crisp-edges; image-rendering: -o-crisp-edges; "
    "image-rendering: -webkit-optimize-contrast; image-rendering: optimize-contrast; "
    "image-rendering: crisp-edges; image-rendering: pixelated; ",
)
# The style sheet of its maps, which it adds without any map. Where another version has another one, the browser
# leaves it out and says so in its console; nothing else changes.
_PLOTLY_MAPS = "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"
NOTHING_ELSE = ("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")
_UNUSED = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")


def response_headers() -> dict[str, str]:
    """The headers that a response gets unless its route sets them itself.

    Returns
    -------
    dict
        Lower-case names.
    """
    return {
        "content-security-policy": content_security_policy(),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": ", ".join(f"{name}=()" for name in _UNUSED),
        "cache-control": "no-store",
    }


def content_security_policy() -> str:
    """Everything from this server, nothing inline, nothing evaluated, no frames, no forms.

    Returns
    -------
    str
        The few styles that plotly.js sets are allowed by their hashes; ``blob:`` is for its PNG export,
        ``data:`` for its heatmaps.
    """
    hashes = " ".join([*map(hashed, _PLOTLY_STYLES), _PLOTLY_MAPS])
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'unsafe-hashes' {hashes}",
            "img-src 'self' blob: data:",
            "connect-src 'self'",
            *NOTHING_ELSE,
        ]
    )


def hashed(text: str) -> str:
    """What a policy says to allow this very text.

    Parameters
    ----------
    text : str
        Of a style.
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
