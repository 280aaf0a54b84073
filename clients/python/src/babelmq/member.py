"""What a session knows of the stream that its queue reads from."""

from __future__ import annotations

from .codec import Fields
from .stream_options import StreamOptions
from .unconfirmed import Unconfirmed


class Member:
    """One connection among those of a durable consumer; or where there is no consumer, one that
    follows the stream.

    What was delivered to a consumer on a connection that has ended is delivered again, to whichever
    member, unless it was settled. So a session drops what was not pulled of it, and says once more,
    on the next connection, what no pong has confirmed. What is delivered again although its
    acknowledgement is on its way is not pulled a second time.

    What a follower has read is its own: the next connection goes on behind it.
    """

    def __init__(self, options: StreamOptions) -> None:
        self.options = options
        self.is_consumer = options.consumer is not None
        self.settled = Unconfirmed()
        """Acknowledgements and rejections that are not confirmed."""
        self.last = 0
        """The number of the last message that a follower has read, or of the one before those that
        it reads.
        """
        self.pending: int | None = None
        """How many messages there were to come at most, by the last answer to a subscription."""

    def fields(self) -> Fields:
        """What a ``subscribe`` says of the stream."""
        follows_on = not self.is_consumer and self.last > 0
        return self.options.fields(self.last + 1 if follows_on else None)

    def subscribed(self, answer: Fields) -> None:
        """The answer to the ``subscribe``. A follower that loses its connection before the first
        message goes on with the one that it was to begin with.
        """
        if "pending" in answer:
            self.pending = int(answer["pending"])
        if "next" in answer and self.last == 0:
            self.last = int(answer["next"]) - 1

    def is_news(self, delivery: Fields) -> bool:
        """Whether a delivery is to be pulled. Of a message whose settlement is on its way another
        attempt is not; the first attempt, after somebody has reset the consumer, is.
        """
        return not (
            self.is_consumer
            and delivery["seq"] in self.settled
            and int(delivery.get("attempt", 1)) > 1
        )

    def forget(self) -> None:
        """This is another process, with a connection of its own."""
        self.settled.clear()
        self.last = 0
        self.pending = None
