"""The OpenAPI document at `/schema`: JSON and YAML only, so that no page loads anything from elsewhere."""

from importlib.metadata import version

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from service.admin.router import SECURITY_SCHEME


def openapi_config() -> OpenAPIConfig:
    """The configuration for the application."""
    scheme = SecurityScheme(
        type="http", scheme="bearer", description="An admin key: TOLLKEEPER_ADMIN_KEY, or one of the store."
    )
    return OpenAPIConfig(
        title="Tollkeeper",
        version=version("tollkeeper"),
        path="/schema",
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin(), YamlRenderPlugin()],
        components=Components(security_schemes={SECURITY_SCHEME: scheme}),
    )
