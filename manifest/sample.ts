/** Thirty made-up orders: quoted cells, an empty city now and then, a decimal, a timestamp, a boolean. */
export const SAMPLE_ORDERS = `id,ordered_at,customer,city,item,quantity,unit_price,paid
1,2025-01-05T14:27:00Z,customer-07,,coffee,1,7.25,true
2,2025-01-09T01:36:00Z,customer-06,Graz,tea,1,4.80,false
3,2025-01-10T16:54:00Z,customer-02,Gdańsk,tea,4,4.80,true
4,2025-01-12T11:45:00Z,customer-09,Gdańsk,tea,1,4.80,false
5,2025-01-13T14:39:00Z,customer-01,Graz,coffee,5,7.25,true
6,2025-01-14T07:25:00Z,customer-01,Graz,coffee,2,7.25,true
7,2025-01-17T02:38:00Z,customer-09,Hamburg,coffee,5,7.25,true
8,2025-01-20T17:07:00Z,customer-03,Hamburg,"""Morning"" blend",5,8.15,false
9,2025-01-24T18:20:00Z,customer-06,Hamburg,coffee,5,7.25,false
10,2025-01-25T12:54:00Z,customer-01,Graz,"honey, 500 g",2,6.40,true
11,2025-01-29T19:47:00Z,customer-07,Porto,"honey, 500 g",4,6.40,false
12,2025-02-01T19:39:00Z,customer-05,Lyon,mug,2,12.00,false
13,2025-02-06T16:07:00Z,customer-02,Graz,coffee,3,7.25,false
14,2025-02-09T21:42:00Z,customer-08,Porto,mug,5,12.00,true
15,2025-02-10T23:49:00Z,customer-07,Lyon,"honey, 500 g",3,6.40,true
16,2025-02-14T04:34:00Z,customer-01,,kettle,1,39.90,false
17,2025-02-17T20:48:00Z,customer-06,,mug,3,12.00,false
18,2025-02-21T02:36:00Z,customer-08,Hamburg,"honey, 500 g",1,6.40,true
19,2025-02-24T05:19:00Z,customer-02,Hamburg,"""Morning"" blend",6,8.15,false
20,2025-02-26T09:35:00Z,customer-08,Porto,"""Morning"" blend",6,8.15,true
21,2025-03-02T14:52:00Z,customer-01,Gdańsk,mug,3,12.00,true
22,2025-03-06T12:16:00Z,customer-08,Hamburg,tea,2,4.80,true
23,2025-03-07T15:55:00Z,customer-04,Gdańsk,"""Morning"" blend",4,8.15,true
24,2025-03-08T12:55:00Z,customer-08,Gdańsk,coffee,5,7.25,true
25,2025-03-09T17:36:00Z,customer-09,Porto,kettle,6,39.90,true
26,2025-03-12T04:35:00Z,customer-07,Lyon,"""Morning"" blend",2,8.15,true
27,2025-03-13T14:38:00Z,customer-04,,coffee,2,7.25,true
28,2025-03-16T18:50:00Z,customer-03,Porto,"honey, 500 g",3,6.40,true
29,2025-03-18T00:43:00Z,customer-09,Porto,kettle,5,39.90,false
30,2025-03-20T06:13:00Z,customer-09,Graz,coffee,6,7.25,false
`
