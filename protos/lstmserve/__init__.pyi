from lstmserve_client import *
