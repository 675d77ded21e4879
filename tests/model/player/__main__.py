"""The child's side of `player.Child`."""

from player.child import play

play()
