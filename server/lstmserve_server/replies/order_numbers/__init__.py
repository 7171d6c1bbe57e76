"""Finds which of the numbers that a customer typed is an order's: ``numbers_in``."""

from lstmserve_server.replies.order_numbers.naming import ASKS_ORDER
from lstmserve_server.replies.order_numbers.other import ASKS_OTHER
from lstmserve_server.replies.order_numbers.places import EMAIL
from lstmserve_server.replies.order_numbers.ranking import Asked, Number, Rank, numbers_in

__all__ = ["ASKS_ORDER", "ASKS_OTHER", "EMAIL", "Asked", "Number", "Rank", "numbers_in"]
