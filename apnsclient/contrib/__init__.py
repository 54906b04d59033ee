"""What joins the client to other products: task queues, databases, metrics.

Each module needs the extra of its name, and Python 3.8 or newer. Python 2.7 and 3.6 can read this
file, and no other of this folder.
"""

import sys

if sys.version_info < (3, 8):
    raise ImportError("apnsclient.contrib needs Python 3.8 or newer, and this is Python %d.%d"
                      % sys.version_info[:2])
