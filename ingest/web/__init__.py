"""Pages about the pipe. They know nothing of logins: whoever mounts them brings what guards them."""
