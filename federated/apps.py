"""The apps that ``pyproject.toml`` names: `server_app` and `client_app`, imported when Flower calls them.

A simulation loads both apps in one process before it starts Ray. Their imports take seconds, as does Ray, in
processes of its own: so the ServerApp is imported meanwhile, in the thread that Flower runs it in.
"""

from __future__ import annotations

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp


class LazyServerApp(ServerApp):
    """Runs what `federated.server.app.app` does."""

    def __call__(self, grid: Grid, context: Context) -> None:
        """Run a federation."""
        from federated.server.app import app

        app(grid, context)


class LazyClientApp(ClientApp):
    """Answers as `federated.client.app.app` does."""

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer a message."""
        from federated.client.app import app

        return app(message, context)


server_app = LazyServerApp()
client_app = LazyClientApp()
