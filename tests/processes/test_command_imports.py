"""``apns`` as a process: what is not imported, because it takes its time or may not be there."""

from __future__ import absolute_import, division, print_function

import json

from cli_processes import python
from cli_support import QUIET, Bed, token

PROGRAM = """\
import json, sys
from apnsclient.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = ["OpenSSL", "argcomplete", "cryptography", "tqdm"]
seen = [[name for name in heavy if name in sys.modules]]
seen.append(main(sys.argv[1:]))
seen.append([name for name in heavy if name in sys.modules])
print(json.dumps(seen))
"""


def test_only_what_is_needed_is_imported(simulator, tmp_path):
    """``apns --help`` needs nothing; and where no bar is shown, nothing that shows one."""
    bed = Bed(simulator, tmp_path)
    ended = python(PROGRAM, *bed.arguments("--alert", "hi", token(1), *QUIET))
    for_help, status, for_sending = json.loads(ended.out.splitlines()[-1])
    assert (for_help, status) == ([], 0)
    assert for_sending == ["OpenSSL", "cryptography"]
