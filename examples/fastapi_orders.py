"""A shop on FastAPI and SQLAlchemy, which tells its customers of their orders. Run it: uvicorn fastapi_orders:app

An order is paid, and its customer is told so, in one transaction: both, or neither.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, HTTPException, Request
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tidings import Config
from tidings.fastapi import DirectMessages

DATABASE = os.environ.get("HOST_DB", "postgresql://shop@127.0.0.1/shop")
engine = create_async_engine(DATABASE.replace("postgresql:", "postgresql+asyncpg:"))
sessions = async_sessionmaker(engine)


class Base(DeclarativeBase):
    """The tables of the shop; those of Tidings are in a schema of their own."""


class Order(Base):
    """An order of the shop."""

    __tablename__ = "orders"
    number: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    is_paid: Mapped[bool] = mapped_column(default=False)


def current_user(request: Request) -> str | None:
    """The name in a cookie is the customer: an example has no passwords."""
    return request.cookies.get("customer")


messages = DirectMessages(Config(db=DATABASE), user=current_user)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Make the tables, and begin to serve messages."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with messages.lifespan():
        yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(messages.router, prefix="/api/message")


@app.post("/orders/{number}")
async def order(number: int, customer: str) -> None:
    """Place an order."""
    async with sessions.begin() as session:
        session.add(Order(number=number, customer=customer))


@app.post("/orders/{number}/pay")
async def pay(number: int, card: str) -> str:
    """Pay an order; a card that is refused leaves everything as it was. The answer comes after the commit."""
    async with sessions.begin() as session:
        found = await session.get_one(Order, number, with_for_update=True)
        found.is_paid = True
        text = f"Order {number} is paid."
        once = f"paid-{number}"  # however often somebody pays
        told = await messages.send("shop", found.customer, text, type="system", client_id=once, connection=session)
        if card == "empty":
            raise HTTPException(402, "The card was refused.")
    return told
