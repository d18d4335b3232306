import time
def test_x(federate):
    t=time.time(); r=federate("federation.num_rounds=3"); print(time.time()-t)
    for x in r.store.metrics(r.id): print(x.stage,x.name,x.round,x.client_id,x.epoch,x.value,x.num_examples)
    print(r.row, r.rounds, r.lines)
    t=time.time(); r=federate("federation.num_rounds=3"); print(time.time()-t)
