"""All that a player can be told to do."""

from player.blocks import Blocks
from player.breaking import Breaking
from player.keeping import Keeping
from player.threads import Threads
from player.whole import Whole


class Player(Threads, Blocks, Keeping, Breaking, Whole):
    """Its verbs by what they are about; see the files."""
