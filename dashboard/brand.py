"""The mark and the name, as SVG that reads on a light and on a dark page. Pure."""

_BLUE = "#4d82e6"
_MARK = (
    f'<rect x="2" y="4" width="4" height="24" rx="1.5" fill="{_BLUE}"/>'
    f'<path d="M6 9 L30 3.5 L30 8.5 L6 14 Z" fill="{_BLUE}"/>'
    f'<path d="M12 7.6 L18 6.2 L18 11.2 L12 12.6 Z M24 4.9 L30 3.5 L30 8.5 L24 9.9 Z" fill="#ffffff" opacity="0.85"/>'
    f'<circle cx="22" cy="21" r="6" fill="none" stroke="{_BLUE}" stroke-width="2.6"/>'
)
ICON = f'<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="0 0 32 32">{_MARK}</svg>'
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="150" height="32" viewBox="0 0 150 32">'
    f"{_MARK}"
    f'<text x="38" y="22.5" font-family="Source Sans 3, Segoe UI, Helvetica, Arial, sans-serif" font-size="19.5" '
    f'font-weight="650" fill="{_BLUE}">Tollkeeper</text></svg>'
)
