"""Files of a thread that is shared, for strangers who know the share's secret."""

from chatkeep.context import RequestContext
from chatkeep.errors import LinkError, NotFoundError
from chatkeep.files.attachments import Attachments, Download
from chatkeep.files.signing import Grant, LinkSigner
from chatkeep.ports import Share, Store

_SECONDS = 600.0


class SharedFiles:
    """Makes links for the files that a page of a share names, and answers them.

    Such a link is good with the share's secret only, so it ends with the share, and it tells
    nothing of whose the file is.
    """

    def __init__(self, store: Store, attachments: Attachments, signer: LinkSigner) -> None:
        self._store = store
        self._attachments = attachments
        self._signer = signer

    def token(self, share: Share, attachment_id: str) -> str:
        """Return the query value of a link to a file that the share shows."""
        return self._signer.sign(Grant("shared", "", share.id, attachment_id, 0), _SECONDS)

    async def open(self, share: Share, attachment_id: str, token: str) -> Download:
        """Return the file that a link is for.

        Raises:
            LinkError: The link is not good for this.
            NotFoundError: The file is not there (any more), or not in the thread.
        """
        grant = self._signer.read(token, "shared", attachment_id)
        if grant.user != share.id:
            raise LinkError
        context = RequestContext(share.principal, request_id="")
        attachment = await self._store.load_attachment(attachment_id, context)
        if attachment.thread_id != share.thread_id:
            raise NotFoundError
        return self._attachments.download_of(attachment)
