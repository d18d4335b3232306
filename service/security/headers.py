"""Security headers of every response: content security policy, no sniffing, no framing, no caching."""

from __future__ import annotations

import base64
import hashlib

# Style attributes that plotly.js sets; the empty text is also its <style> element, to which it adds rules.
_PLOTLY_STYLES = (
    "",
    "font-weight:bold",
    "font-style:italic",
    "image-rendering: optimizeSpeed; image-rendering: -moz-crisp-edges; image-rendering: -o-crisp-edges; "
    "image-rendering: -webkit-optimize-contrast; image-rendering: optimize-contrast; "
    "image-rendering: crisp-edges; image-rendering: pixelated; ",
)
# The style sheet of plotly.js's maps, which it adds even without a map. If another version has a different one,
# the browser blocks it and logs that in its console; nothing else changes.
_PLOTLY_MAPS = "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"
LOCKDOWN = ("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")
_UNUSED = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")


def response_headers() -> dict[str, str]:
    """Default headers of a response; a route may set its own.

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
    """Everything from this server; no inline code, no eval, no frames, no forms.

    Returns
    -------
    str
        The styles that plotly.js sets are allowed by hash; ``blob:`` is for its PNG export, ``data:`` for its
        heatmaps.
    """
    hashes = " ".join([*map(csp_hash, _PLOTLY_STYLES), _PLOTLY_MAPS])
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'unsafe-hashes' {hashes}",
            "img-src 'self' blob: data:",
            "connect-src 'self'",
            *LOCKDOWN,
        ]
    )


def csp_hash(text: str) -> str:
    """The source expression that allows exactly this text.

    Parameters
    ----------
    text : str
        Of a style.
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
