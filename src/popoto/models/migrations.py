"""How to change models whose records are stored. Documentation only: there are no names here.

The longer form, with code that is run by the tests, is the page "Changing models" of the manual
(docs/migrations.md). The examples are about::

    class Product(Model):
        sku = KeyField()
        shelf = IndexedField(null=True)
        price = SortedField(type=float, default=0.0)
        label = StringField(default="")

What is stored
--------------

The record of ``sku="t-1"`` is the hash ``Product:t/-1``, with one msgpack value per field; a
capped list ``recent`` of it would be the list ``Product:t/-1::recent``. Beside it stand the
entries of its indexes, which are what queries read::

    $Class:Product                          set         the keys of all records
    $KeyF:Product:sku:t/-1                  set         key field, by value
    $IndexF:Product:shelf:a                 set         indexed field, by value ($UniquF: unique)
    $SortF:Product:price                    sorted set  by value; one per partition with
                                                        partition_by: $SortF:Product:price:a
    $GeoF:Product:place                     geo set     positions
    $RelationshipF:Product:maker:Maker:x    set         who refers to the record Maker:x
    $Index:Product:shelf:label              hash        composite index of Meta.indexes

Two rules hold. A new field needs no migration: records that lack it have its default when they
are loaded. A removed field leaves its values in the hashes, where they are ignored, and its
index keys, until they are cleaned away.

Tools
-----

``record.save()`` writes what changed. ``save(update_fields=[...])`` writes just these fields,
``save(skip_auto_now=True)`` leaves ``auto_now`` timestamps alone, ``save(migrate_key=True)``
moves a record whose key fields changed. ``Model.bulk_update(query, name=value)`` gives many
records one value. All of these validate, and keep the indexes. ``Model.raw_update(keys,
name=value)`` writes encoded values and nothing else, so an indexed field needs a rebuild
afterwards. ``Model.check_indexes()`` counts what is wrong, ``clean_indexes()`` removes the
entries of records that are gone, ``rebuild_indexes()`` makes every entry follow from the
hashes. They work next to readers and writers, and have asyncio twins (``async_…``).

The loop of most migrations can be interrupted and run again::

    for product in Product.query.filter().iterator():
        product.title = product.label.title()
        product.save(update_fields=["title"], skip_auto_now=True)

Fields
------

Add a field
    Add it to the class. That is all.
Backfill
    ``Product.bulk_update(Product.query.filter(), unit="piece")`` for one value; the loop above
    for computed ones.
Remove a field
    Take it out of the class; ``rebuild_indexes()`` if it was indexed; ``HDEL key name`` for each
    key of ``Product.query.keys()`` if the space matters.
Add or remove a memory field or mixin
    Old records are read as if nothing had been learned of them; ``rebuild_indexes()`` lets them
    have what new ones begin with. What a removed one has learned stays until its record goes.
Rename a field
    Have both fields for a while. Release code that writes both and reads the new one, copy with
    the loop, then remove the old one.
Transform, split or merge values
    The loop, with ``update_fields`` naming what it computes, so that nobody's changes to other
    fields are written over.
Change a type
    Whole numbers are read as float or Decimal, numeric text as numbers, lists, tuples and sets
    as each other, 0 and 1 as bool. Load and save the field, rebuild if it is indexed. Otherwise
    fill a new field of the new type. A value that cannot be decoded raises StoredDataError,
    which names record and field, when that field is read.

Indexes
-------

Add a sorted index, or any other
    Change the field (``SortedField``, ``IndexedField``, ``GeoField`` …), then
    ``rebuild_indexes()``. Until then queries through the new index miss the old records.
Change ``partition_by``
    The same: rebuilding writes ``$SortF:Product:price:a`` … and removes
    ``$SortF:Product:price``.
Add a composite index
    Add it to ``Meta.indexes``, then ``rebuild_indexes()``. Before one that is unique, look for
    values that occur twice.
Remove a composite index
    Take it out of ``Meta.indexes``, then ``rebuild_indexes()``.
Repair
    ``check_indexes()["total"] == 0`` says that nothing is wrong. ``clean_indexes()`` after hashes
    were deleted by hand; ``rebuild_indexes()`` after anything else. Its result has a list
    ``problems`` of the hashes that cannot be read.

Keys
----

Change the value of a key field
    ``record.save(migrate_key=True)`` moves hash, entries, capped lists and companions in one
    step, and refuses to move onto a key that is taken. Relationships hold the target's key as
    text: set them to the moved record and save.
Add or remove a key field, rename a model
    The keys of all records change: ``Product:t/-1`` becomes ``Product:eu:t/-1`` (key fields stand
    in alphabetical order), or ``Article:t/-1``. Keep the old definition under its name, give the
    new one another name, and for each old record queue ``New(**old.to_dict()).save(pipeline=p)``
    and ``old.delete(pipeline=p)`` on one pipeline and execute it. ``to_dict()`` leaves out hidden
    fields and the expiry. A model that has to keep its name goes through an interim name.
"""
