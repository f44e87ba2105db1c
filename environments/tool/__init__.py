"""Environments in which an agent calls tools or writes commands."""

from agentevo.environments.tool.functions import FunctionTool
from agentevo.environments.tool.servers import HttpServer, ServerUnavailable, StdioServer
from agentevo.environments.tool.tools import Tools

__all__ = ["FunctionTool", "HttpServer", "ServerUnavailable", "StdioServer", "Tools"]
