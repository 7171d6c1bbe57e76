"""Replies from wherever they are nearest; no transport. ``ReplyService.answer`` is the policy."""
