"""Push and pull messages through a babelmq broker, which translates between JSON, XML and pickle.

Each queue speaks one format; what another client pushed in another format arrives in this one.

- :mod:`babelmq.queue`: the queues, with blocking calls; :mod:`babelmq.aio`: the same for asyncio;
  :mod:`babelmq.base`: what they have in common.
- :mod:`babelmq.session`: the conversation with the broker, without a socket; both kinds of queue
  drive it, one through :mod:`babelmq.connection`. :mod:`babelmq.link`: when to connect, and when to
  give a connection up. :mod:`babelmq.address`, :mod:`babelmq.tls` and :mod:`babelmq.login`: where
  the broker is, whom a connection trusts, and who the client is.
- :mod:`babelmq.stream_options`, :mod:`babelmq.stream_message` and :mod:`babelmq.member`: what a
  queue asks of a stream, what it says of a message, and what a session knows of both;
  :mod:`babelmq.unconfirmed`: what is said again on the next connection.
- :mod:`babelmq.frame`: the stream cut into messages; :mod:`babelmq.codec`: what a format is, and
  ``json_codec``, ``xml_codec`` (``xml_reader``, ``xml_writer``), ``pickle_codec``: the three that
  there are.
- :mod:`babelmq.plain_data`: which values can be pushed; :mod:`babelmq.scalar_types`: dates, exact
  numbers and UUIDs as text; :mod:`babelmq.ndarray`: arrays of numpy; :mod:`babelmq.errors`: what
  can go wrong.
- ``babelmq.__version__``: which version this is.
"""

from ._version import __version__ as __version__
from .errors import (
    BabelmqError,
    BrokerError,
    CannotConnect,
    CertificateError,
    ConnectionLost,
    LoginFailed,
    MalformedMessage,
    NotPlainData,
    NotSubscribed,
    ProtocolError,
    QueueClosed,
    WrongLoop,
)
from .frame import Format
from .ndarray import NDArray
from .queue import (
    JSONQueue,
    Message,
    MiddlewareType,
    PickleQueue,
    Queue,
    StreamMessage,
    XMLQueue,
)

__all__ = [
    "BabelmqError",
    "BrokerError",
    "CannotConnect",
    "CertificateError",
    "ConnectionLost",
    "Format",
    "JSONQueue",
    "LoginFailed",
    "MalformedMessage",
    "Message",
    "MiddlewareType",
    "NDArray",
    "NotPlainData",
    "NotSubscribed",
    "PickleQueue",
    "ProtocolError",
    "Queue",
    "QueueClosed",
    "StreamMessage",
    "WrongLoop",
    "XMLQueue",
]
