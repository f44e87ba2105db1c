"""What runs inside: only the standard library, nothing of the agent's memory.

The zygote makes this folder a package in empty ones, so that nothing else of agentevo is or can be imported there.
"""
