"""The mark and the name, as SVG that reads on a light and on a dark page. Pure."""

_BLUE = "#4d82e6"
_MARK = (
    f'<rect x="3" y="6" width="5" height="22" rx="2" fill="{_BLUE}"/>'
    f'<path d="M8 9.5 L30 4 L30 10 L8 15.5 Z" fill="{_BLUE}"/>'
    '<path d="M14 8 L18.5 6.9 L18.5 12.9 L14 14 Z" fill="#f3bd54"/>'
    '<path d="M23 5.75 L27.5 4.6 L27.5 10.6 L23 11.75 Z" fill="#f3bd54"/>'
    f'<rect x="1" y="25.5" width="9" height="3.5" rx="1.5" fill="{_BLUE}"/>'
)
ICON = f'<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="0 0 32 32">{_MARK}</svg>'
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="146" height="32" viewBox="0 0 146 32">'
    f"{_MARK}"
    '<text x="37" y="23" font-family="Helvetica Neue, Helvetica, Arial, sans-serif" font-size="19.5" '
    f'font-weight="700" letter-spacing="-0.4" fill="{_BLUE}">Tollkeeper</text></svg>'
)
